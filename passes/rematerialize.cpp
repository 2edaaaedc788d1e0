#include "passes/rematerialize.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "passes/graph_planner.h"
#include "passes/plan_memory.h"
#include "passes/recomputation.h"

namespace nncc {

namespace {

// A round that saves less than one part in so many is the last.
constexpr int64_t kLeastSaving = 100;
constexpr int kMostRounds = 3;
// Several places may wait with as much: only after all of them are divided the arena shrinks.
constexpr int kMostInVain = 4;
constexpr std::array kSegments = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24};

// A graph and what plan-memory would make of it.
struct Trial {
  Graph graph;
  std::vector<NodeId> order;
  int64_t arena_bytes = 0;
  double cost = 0;  // of all kernel calls
};

class ArenaFitter {
 public:
  ArenaFitter(const Module& module, int64_t budget) : planned_(module), kernels_(planned_), budget_(budget) {
    place_variables(planned_);
    ConstantPool constants;
    plan_steps(planned_, kernels_, constants);
  }

  Trial plan(Graph graph) {
    ConstantPool constants;
    GraphPlan plan = GraphPlanner(planned_, kernels_, constants, graph).plan();
    Trial trial;
    trial.graph = std::move(graph);
    trial.order = std::move(plan.order);
    trial.arena_bytes = plan.arena_bytes;
    for (NodeId id : trial.order) trial.cost += kernel_cost(planned_, trial.graph, id);
    return trial;
  }

  // The graph that fits with little to compute again; if none is found, the one with the smallest arena.
  Trial fit(Trial trial) {
    for (int round = 0; round < kMostRounds && !fits(trial); ++round) {
      Trial best = improve(trial);
      if (!fits(best) && best.arena_bytes >= trial.arena_bytes - trial.arena_bytes / kLeastSaving) break;
      trial = std::move(best);
    }
    return trial;
  }

  bool fits(const Trial& trial) const { return trial.arena_bytes <= budget_; }

 private:
  // Also divides the step again and again, where most waits each time: what was computed again may wait, too,
  // and results of elementwise arithmetic need not.
  Trial attempt(const Recomputer& recomputer, const std::set<int>& again) {
    Trial best = plan(recomputer.recompute(again));
    Trial trial = best;
    for (int in_vain = 0; in_vain < kMostInVain && !fits(best); ++in_vain) {
      const Recomputer next(planned_, trial.graph, trial.order);
      const std::set<int> more = next.choose({.effort = Effort::Elementwise});
      if (more.empty()) break;
      trial = plan(next.recompute(more));
      if (trial.arena_bytes >= best.arena_bytes) continue;
      best = trial;
      in_vain = 0;
    }
    return best;
  }

  // The first effort that is enough, and no more of it than that.
  Trial improve(const Trial& from) {
    const Recomputer recomputer(planned_, from.graph, from.order);
    Trial best = from;
    RecomputationLimits best_limits;
    std::set<std::set<int>> tried = {{}};
    for (const Effort effort : {Effort::Elementwise, Effort::Reductions, Effort::Contractions}) {
      if (fits(best)) break;
      const int most = effort == Effort::Contractions ? recomputer.contractions_in_first_half() : 1;
      for (const int segments : kSegments) {
        if (segments > most) break;
        const RecomputationLimits limits{.effort = effort, .segments = segments};
        const std::set<int> again = recomputer.choose(limits);
        if (!tried.insert(again).second) continue;
        Trial trial = attempt(recomputer, again);
        const bool is_better =
            fits(trial) ? !fits(best) || trial.cost < best.cost : trial.arena_bytes < best.arena_bytes;
        if (!is_better) continue;
        best = std::move(trial);
        best_limits = limits;
      }
    }
    for (int too_few = 0, enough = recomputer.first_half(); fits(best) && too_few + 1 < enough;) {
      best_limits.first_kernels = (too_few + enough) / 2;
      Trial trial = attempt(recomputer, recomputer.choose(best_limits));
      (fits(trial) ? enough : too_few) = best_limits.first_kernels;
      if (fits(trial) && trial.cost <= best.cost) best = std::move(trial);
    }
    return best;
  }

  Module planned_;  // its variables have places, and it takes the kernels that only copy
  KernelTable kernels_;
  int64_t budget_;
};

std::string size_text(int64_t bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return std::to_string(bytes) + " bytes (" + text + ")";
}

// Where the entry stands in the program.
SourceRange place_of(const Graph& graph) {
  for (const Graph::Argument& argument : graph.arguments)
    if (const SourceRange range = graph[argument.value.node].location.range) return range;
  for (NodeId id : graph.nodes())
    if (const SourceRange range = graph[id].location.range) return range;
  return {};
}

}  // namespace

bool rematerialize(Module& module, PassContext& context) {
  const int64_t budget = context.options.memory_budget;
  if (budget == 0) return false;
  ArenaFitter fitter(module, budget);
  bool changed = false;
  for (Entry& entry : module.entries) {
    for (Graph* graph : {&entry.graph, &entry.prepare}) {
      const Trial kept = fitter.plan(*graph);
      if (fitter.fits(kept)) continue;
      Trial fitted = fitter.fit(kept);
      if (!fitter.fits(fitted)) {
        context.diags
            .error(place_of(entry.graph), "the workspace of `" + entry.name + "` does not fit into " +
                                              size_text(budget) + "; the least that would do is " +
                                              size_text(fitted.arena_bytes))
            .note("without --memory-budget it takes " + size_text(kept.arena_bytes));
        break;
      }
      *graph = std::move(fitted.graph);
      context.count("kernels called again in " + entry.name,
                    static_cast<int64_t>(fitted.order.size() - kept.order.size()));
      context.count("bytes saved in the arena of " + entry.name, kept.arena_bytes - fitted.arena_bytes);
      changed = true;
    }
  }
  return changed;
}

}  // namespace nncc
