#include "passes/plan_memory.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "ir/scan.h"
#include "passes/memory_traffic.h"

namespace nncc {

// The gap between neighbours stays below two cache lines: arrays that are walked side by side suffer when
// they lie one page apart.
void place_variables(Module& module) {
  int64_t end = 0;
  std::set<std::string> done;
  const auto place = [&](Variable& variable) {
    end = align_up(end, dtype_size(variable.type.dtype));
    variable.offset = end;
    end += variable.type.byte_size();
  };
  for (Variable& variable : module.variables) {
    if (!variable.slab.empty() && !done.insert(variable.slab).second) continue;
    end = align_up(end, kBufferAlignment);
    place(variable);
    if (!variable.slab.empty())
      for (Variable& other : module.variables)
        if (&other != &variable && other.slab == variable.slab) place(other);
    end += kSpareBytes;
  }
  module.variable_bytes = align_up(end, kBufferAlignment);
}

// A step's scans first: their workspace is part of its own.
void plan_steps(Module& module, KernelTable& kernels, ConstantPool& constants) {
  std::vector<Function*> steps;
  std::map<const Function*, int> carries;
  const auto find_carries = [&](const Graph& graph) {
    for (NodeId id : graph.nodes())
      if (graph[id].op == Op::Scan)
        carries[module.find_function(graph[id].attributes.string(Attr::Symbol))] =
            scan_parts(graph[id]).carries;
  };
  for (Function& function : module.functions)
    if (function.kind == FunctionKind::Step) steps.push_back(&function);
  for (const Entry& entry : module.entries) find_carries(entry.graph), find_carries(entry.prepare);
  for (const Function* step : steps) find_carries(step->body);
  std::set<const Function*> done;
  const std::function<void(Function&)> plan = [&](Function& step) {
    if (!done.insert(&step).second) return;
    for (NodeId id : step.body.nodes())
      if (step.body[id].op == Op::Scan)
        plan(*module.find_function(step.body[id].attributes.string(Attr::Symbol)));
    GraphPlan planned = GraphPlanner(module, kernels, constants, step.body).plan(carries[&step]);
    step.body = std::move(planned.graph);
    step.arena_bytes = planned.arena_bytes;
  };
  for (Function* step : steps) plan(*step);
}

namespace {

void report(const std::string& name, const GraphPlan& plan, PassContext& context) {
  if (plan.arena_bytes == 0) return;
  context.count("bytes of arena in " + name, plan.arena_bytes);
  context.count("bytes that " + name + " needs at least", plan.lower_bound);
  for (const auto& [value, bytes] : plan.alive_at_peak)
    context.count("bytes of " + value + " alive at the peak of " + name, bytes);
}

}  // namespace

bool plan_memory(Module& module, PassContext& context) {
  place_variables(module);
  KernelTable kernels(module);
  ConstantPool constants;
  plan_steps(module, kernels, constants);
  for (Entry& entry : module.entries) {
    GraphPlan main = GraphPlanner(module, kernels, constants, entry.graph).plan();
    GraphPlan prepare = GraphPlanner(module, kernels, constants, entry.prepare).plan();
    entry.arena_bytes = std::max(main.arena_bytes, prepare.arena_bytes);
    report(entry.name, main, context);
    report(entry.name + ".prepare", prepare, context);
    for (const GraphPlan* plan : {&main, &prepare}) {
      context.count("copies", plan->copies);
      context.count("updates in place", plan->direct_updates);
      context.count("concats written by rows", plan->in_rows);
      context.count("buffers taken over", plan->in_place);
    }
    entry.graph = std::move(main.graph);
    entry.prepare = std::move(prepare.graph);
    context.table += memory_traffic_text(module, memory_traffic(module, entry.graph), entry.name);
    context.table +=
        memory_traffic_text(module, memory_traffic(module, entry.prepare), entry.name + ".prepare");
  }
  context.count("bytes of variables", module.variable_bytes);
  return true;
}

}  // namespace nncc
