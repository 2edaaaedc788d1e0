// flatten-updates, fuse-kernels and plan-memory on random training entries: what they compute stays the same,
// in memory too.
#include <map>
#include <set>

#include "passes/arena.h"
#include "passes/fusion_rules.h"
#include "test/passes/planned_session.h"
#include "test/passes/random_module.h"

namespace nncc::test {
namespace {

constexpr unsigned kSeeds = 200;
constexpr double kTolerance = 1e-9;

// Runs of the first entry: `found`, of the module after the passes, against the evaluator of the one before.
template <class Session>
void expect_same(const Module& before, const Module& after, Session& found, unsigned seed) {
  std::mt19937 random(seed);
  Evaluator expected(before);
  for (int step = 0; step < 2; ++step) {
    const auto arguments = random_arguments(before.entries[0].graph, random);
    const auto a = expected.run(before.entries[0], arguments);
    const auto b = found.run(after.entries[0], arguments);
    for (size_t i = 0; i < a.size(); ++i)
      expect_close(a[i], b[i], kTolerance, "result " + std::to_string(i));
  }
  for (const Variable& variable : before.variables)
    expect_close(expected.variable(variable.name), found.variable(variable.name), kTolerance,
                 variable.name);
}

class OnRandomModules : public ::testing::TestWithParam<const char*> {};

TEST_P(OnRandomModules, computes_the_same) {
  for (unsigned seed = 0; seed < kSeeds && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Module before = RandomModule(seed).make(24);
    Module after = before;
    run_passes(after, GetParam());
    if (HasFatalFailure()) return;
    Evaluator found(after);
    expect_same(before, after, found, seed);
  }
}

INSTANTIATE_TEST_SUITE_P(Passes, OnRandomModules,
                         ::testing::Values("flatten-updates", "reduce-strength", "fuse-kernels", "flatten-updates,fuse-kernels"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !isalnum(c); }, '_');
                           return name;
                         });

// A range of bytes that holds a value nobody may touch while it is needed.
struct Held {
  Place place;
  int64_t bytes = 0;
  bool overlaps(const Place& other, int64_t other_bytes) const {
    return place.space == other.space && place.index == other.index &&
           place.offset < other.offset + other_bytes && other.offset < place.offset + bytes;
  }
};

// Steps through the planned order and demands that no write touches a value that is read later, but for
// elements that a loop overwrites as it reads them.
void check_plan(const Module& module, const Graph& graph) {
  const std::vector<NodeId> nodes = graph.nodes();
  std::map<NodeId, int> time;
  for (NodeId id : nodes) time[id] = static_cast<int>(time.size());
  const auto end = static_cast<int>(nodes.size());
  // The last time a value's bytes are read: by kernels, by views of it, or at the end.
  std::map<Value, int> last_read;
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const Node& node = graph[*it];
    for (size_t i = 0; i < node.types.size(); ++i) {
      const Value v{*it, static_cast<int>(i)};
      int last = time.at(*it);
      for (const Graph::Result& result : graph.results)
        if (result.value == v) last = end;
      for (const Graph::Update& update : graph.updates)
        if (update.value == v) last = end;
      for (const Use& use : graph.uses(v))
        last = std::max(last,
                        graph[use.user].op == Op::Kernel ? time.at(use.user) : last_read.at({use.user, 0}));
      last_read[v] = last;
    }
  }
  for (NodeId id : nodes) {
    const Node& node = graph[id];
    if (node.op != Op::Kernel) {
      // Views lie within what they view; data lies aligned.
      for (Value operand : node.operands) {
        const Place& of = graph[operand.node].places[operand.result];
        EXPECT_EQ(of.space, node.places[0].space);
        EXPECT_EQ(of.index, node.places[0].index);
      }
      continue;
    }
    for (size_t i = 0; i < node.types.size(); ++i) {
      const int64_t bytes = node.types[i].byte_size();
      const Place& place = node.places[i];
      EXPECT_NE(place.space, Space::Input);
      EXPECT_NE(place.space, Space::Constants);
      for (const auto& [value, last] : last_read) {
        const Value self{id, static_cast<int>(i)};
        if (value == self || time.at(value.node) > time.at(id) || last < time.at(id)) continue;
        const Held held{graph[value.node].places[value.result], graph.type(value).byte_size()};
        if (!held.overlaps(place, bytes)) continue;
        // A concat or other view of results, defined before by its other pieces, includes this one.
        const auto views = graph.descendants(std::array{id});
        if (std::binary_search(views.begin(), views.end(), value.node)) continue;
        // Else it has to be an operand that dies here.
        EXPECT_EQ(last, time.at(id)) << "value " << value.node.index << " is overwritten by " << id.index;
        if (std::find(node.operands.begin(), node.operands.end(), value) == node.operands.end())
          continue;  // seen as a view
        EXPECT_EQ(held.place, place);
        EXPECT_EQ(held.bytes, bytes);
        const Function& kernel = *module.find_function(node.attributes.string(Attr::Symbol));
        for (NodeId inner : kernel.body.nodes()) {
          const FusionRole role = fusion_role(kernel.body[inner].op);
          EXPECT_NE(role, FusionRole::Reduce);
          EXPECT_NE(role, FusionRole::Contract);
        }
      }
    }
  }
}

TEST(PlanMemory, keeps_every_value_as_long_as_it_is_read) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Module module = RandomModule(seed).make(24);
    run_passes(module, seed % 2 ? "fuse-kernels,plan-memory" : "flatten-updates,fuse-kernels,plan-memory");
    check_plan(module, module.entries[0].graph);
    if (HasFailure()) break;
  }
}

TEST(PlanMemory, computes_the_same_in_memory) {
  for (unsigned seed = 0; seed < kSeeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Module before = RandomModule(seed).make(24);
    Module after = before;
    run_passes(after, seed % 2 ? "fuse-kernels,plan-memory" : "flatten-updates,fuse-kernels,plan-memory");
    PlannedSession found(after);
    expect_same(before, after, found, seed);
  }
}

TEST(PlanArena, puts_nothing_on_what_lives_at_the_same_time) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<LiveRange> ranges(1 + random() % 30);
    for (LiveRange& range : ranges) {
      range.first = static_cast<int>(random() % 20);
      range.last = range.first + static_cast<int>(random() % 8);
      range.bytes = static_cast<int64_t>(1 + random() % 1000);
    }
    const ArenaPlan plan = plan_arena(ranges);
    EXPECT_GE(plan.bytes, plan.lower_bound);
    for (size_t a = 0; a < ranges.size(); ++a) {
      EXPECT_EQ(plan.offsets[a] % kBufferAlignment, 0);
      EXPECT_LE(plan.offsets[a] + ranges[a].bytes + kSpareBytes, plan.bytes);
      for (size_t b = 0; b < a; ++b) {
        if (ranges[a].last < ranges[b].first || ranges[b].last < ranges[a].first) continue;
        EXPECT_TRUE(plan.offsets[a] >= plan.offsets[b] + ranges[b].bytes + kSpareBytes ||
                    plan.offsets[b] >= plan.offsets[a] + ranges[a].bytes + kSpareBytes);
      }
    }
  }
}

}  // namespace
}  // namespace nncc::test
