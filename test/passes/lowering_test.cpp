// flatten-updates, fuse-kernels and plan-memory on random training entries: what they compute stays the same,
// in memory too.
#include <map>
#include <ranges>
#include <set>

#include "ir/row_layout.h"
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
    for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], kTolerance, "result " + std::to_string(i));
  }
  for (const Variable& variable : before.variables)
    expect_close(expected.variable(variable.name), found.variable(variable.name), kTolerance, variable.name);
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
                         ::testing::Values("flatten-updates", "reduce-strength", "fuse-kernels",
                                           "flatten-updates,fuse-kernels"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !isalnum(c); }, '_');
                           return name;
                         });

// Part of what lies in memory before the graph runs, or of a kernel's result.
struct Piece {
  Value source;
  int64_t offset = 0;  // there
  int64_t bytes = 0;
};

std::vector<Piece> part_of(const std::vector<Piece>& all, int64_t begin, int64_t bytes) {
  std::vector<Piece> part;
  for (int64_t at = 0; const Piece& piece : all) {
    const int64_t first = std::max(begin, at), last = std::min(begin + bytes, at + piece.bytes);
    if (first < last) part.push_back({piece.source, piece.offset + first - at, last - first});
    at += piece.bytes;
  }
  return part;
}

// What a value consists of, in the order of its bytes.
std::vector<Piece> pieces_of(const Graph& graph, Value v) {
  const Node& node = graph[v.node];
  if (node.op == Op::Kernel || node.operands.empty()) return {{v, 0, graph.type(v).byte_size()}};
  const int64_t bytes = node.types[0].byte_size();
  if (node.op != Op::Concat)
    return part_of(pieces_of(graph, node.operands[0]), view_offset(graph, v.node).value(), bytes);
  std::vector<Piece> all;
  const int64_t pitch = layout_in_concat(graph, v.node, 0).pitch * dtype_size(node.types[0].dtype);
  for (int64_t row = 0; row < bytes / pitch; ++row) {
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const int64_t length = layout_in_concat(graph, v.node, i).row * dtype_size(node.types[0].dtype);
      const auto pieces = part_of(pieces_of(graph, node.operands[i]), row * length, length);
      all.insert(all.end(), pieces.begin(), pieces.end());
    }
  }
  return all;
}

// Who wrote what lies where.
class Memory {
 public:
  // `offset`: of these bytes in the value.
  void write(Value v, int64_t offset, const Place& place, int64_t bytes) {
    auto& ranges = spaces_[{place.space, place.index}];
    const int64_t end = place.offset + bytes;
    for (auto it = ranges.begin(); it != ranges.end();) {
      const auto [begin, old] = *it;
      if (begin + old.bytes <= place.offset || end <= begin) {
        ++it;
        continue;
      }
      it = ranges.erase(it);
      if (begin < place.offset) ranges[begin] = {old.source, old.offset, place.offset - begin};
      if (end < begin + old.bytes)
        ranges[end] = {old.source, old.offset + end - begin, begin + old.bytes - end};
    }
    ranges[place.offset] = {v, offset, bytes};
  }

  // Demands that the value lies at its place.
  void read(const Graph& graph, Value v) const {
    Place place = graph[v.node].places.at(v.result);
    for (const Piece& piece : pieces_of(graph, v)) {
      int64_t found = 0;
      if (const auto space = spaces_.find({place.space, place.index}); space != spaces_.end()) {
        for (const auto& [begin, range] : space->second) {
          const int64_t first = std::max(begin, place.offset),
                        last = std::min(begin + range.bytes, place.offset + piece.bytes);
          if (first >= last) continue;
          EXPECT_EQ(range.source, piece.source);
          EXPECT_EQ(range.offset + first - begin, piece.offset + first - place.offset);
          found += last - first;
        }
      }
      const bool is_written = graph[piece.source.node].op == Op::Kernel;
      EXPECT_EQ(found, is_written ? piece.bytes : 0);
      place.offset += piece.bytes;
    }
  }

 private:
  std::map<std::pair<Space, int32_t>, std::map<int64_t, Piece>> spaces_;  // by offset
};

bool overlap(const Place& a, int64_t a_bytes, const Place& b, int64_t b_bytes) {
  return a.space == b.space && a.index == b.index && a.offset < b.offset + b_bytes &&
         b.offset < a.offset + a_bytes;
}

// Steps through the planned order and demands that each value is there where it is read, and that no kernel
// writes what it reads, but for elements that a loop overwrites as it reads them.
void check_plan(const Module& module, const Graph& graph) {
  Memory memory;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph[id];
    if (node.op != Op::Kernel) continue;
    for (Value operand : node.operands) memory.read(graph, operand);
    const Function& kernel = *module.find_function(node.attributes.string(Attr::Symbol));
    for (size_t i = 0; i < node.types.size(); ++i) {
      const Value v{id, static_cast<int>(i)};
      const int64_t bytes = node.types[i].byte_size(), element = dtype_size(node.types[i].dtype);
      Place place = node.places[i];
      EXPECT_NE(place.space, Space::Input);
      EXPECT_NE(place.space, Space::Constants);
      for (size_t other = 0; other < i; ++other)
        EXPECT_FALSE(overlap(place, bytes, node.places[other], node.types[other].byte_size()));
      for (Value operand : node.operands) {
        const Place& read = graph[operand.node].places[operand.result];
        if (!overlap(place, bytes, read, graph.type(operand).byte_size())) continue;
        EXPECT_EQ(read, place);
        EXPECT_EQ(graph.type(operand).byte_size(), bytes);
        for (NodeId inner : kernel.body.nodes()) {
          const FusionRole role = fusion_role(kernel.body[inner].op);
          EXPECT_NE(role, FusionRole::Reduce);
          EXPECT_NE(role, FusionRole::Contract);
        }
      }
      const int64_t elements = node.types[i].num_elements();
      const RowLayout rows = row_layout(graph, v).value_or(RowLayout{elements, elements});
      for (int64_t written = 0; written < bytes; written += rows.row * element) {
        memory.write(v, written, place, rows.row * element);
        place.offset += rows.pitch * element;
      }
    }
  }
  for (const Graph::Result& result : graph.results) memory.read(graph, result.value);
  for (const Graph::Update& update : graph.updates) memory.read(graph, update.value);
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

TEST(PlanMemory, writes_pieces_between_each_other) {
  Module before;
  before.entries.emplace_back().name = "e";
  Graph& graph = before.entries[0].graph;
  GraphBuilder b(graph);
  const Value x = graph.add_argument("x", {DType::F64, {6, 4}});
  std::vector<Value> pieces;
  for (const int64_t columns : {8, 3, 5}) {
    const Value w = graph.add_argument("w" + std::to_string(columns), {DType::F64, {4, columns}});
    const Value product = b.add(Op::MatMul, {x, w}, {{Attr::TransposeA, false}, {Attr::TransposeB, false}});
    pieces.push_back(b.reshape(product, {2, 3, columns}));
  }
  graph.results.push_back({"all", b.add(Op::Concat, pieces, {{Attr::Axis, int64_t{2}}})});
  Module after = before;
  run_passes(after, "fuse-kernels,plan-memory");
  const Graph& planned = after.entries[0].graph;
  EXPECT_EQ(planned[planned.results[0].value.node].op, Op::Concat);
  for (Value piece : pieces_of(planned, planned.results[0].value) | std::views::transform(&Piece::source))
    EXPECT_EQ(row_layout(planned, piece)->pitch, 16);
  check_plan(after, planned);
  PlannedSession found(after);
  expect_same(before, after, found, 1);
}

TEST(PlanArena, puts_nothing_on_what_lives_at_the_same_time) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<ArenaBuffer> buffers(1 + random() % 30);
    for (ArenaBuffer& buffer : buffers) {
      buffer.parts.resize(random() % 3 ? 1 : 1 + random() % 4);
      int64_t offset = 0;
      for (LiveRange& range : buffer.parts) {
        range.first = static_cast<int>(random() % 20);
        range.last = range.first + static_cast<int>(random() % 8);
        range.offset = offset;
        range.bytes = static_cast<int64_t>(1 + random() % 1000);
        offset += range.bytes + static_cast<int64_t>(random() % 2 * 100);
      }
    }
    const ArenaPlan plan = plan_arena(buffers);
    EXPECT_GE(plan.bytes, plan.lower_bound);
    for (size_t a = 0; a < buffers.size(); ++a) {
      EXPECT_EQ(plan.offsets[a] % kBufferAlignment, 0);
      EXPECT_LE(plan.offsets[a] + buffers[a].parts.back().end() + kSpareBytes, plan.bytes);
      for (size_t b = 0; b < buffers.size(); ++b) {
        for (const LiveRange& x : buffers[a].parts) {
          for (const LiveRange& y : buffers[b].parts) {
            if (a == b || x.last < y.first || y.last < x.first) continue;
            const bool x_is_last = &x == &buffers[a].parts.back();
            EXPECT_TRUE(plan.offsets[a] + x.end() + (x_is_last ? kSpareBytes : 0) <=
                            plan.offsets[b] + y.offset ||
                        plan.offsets[b] + y.end() <= plan.offsets[a] + x.offset);
          }
        }
      }
    }
  }
}

TEST(PlanArena, uses_what_is_not_alive_of_a_buffer) {
  // A concat whose first piece is written late, and what lives before that.
  const std::vector<ArenaBuffer> buffers = {{{{5, 9, 0, 4096}, {1, 9, 4096, 4096}}}, {{{1, 4, 0, 4032}}}};
  const ArenaPlan plan = plan_arena(buffers);
  EXPECT_EQ(plan.offsets, (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(plan.bytes, 2 * 4096 + kSpareBytes);
  EXPECT_EQ(plan.lower_bound, plan.bytes);
}

TEST(PlanArena, lets_each_byte_live_as_long_as_a_range_has_it) {
  const ArenaBuffer buffer = make_buffer({{3, 3, 0, 10}, {1, 1, 10, 20}, {7, 7, 5, 10}, {9, 9, 40, 5}});
  const std::vector<LiveRange> parts = {
      {3, 3, 0, 5}, {3, 7, 5, 5}, {1, 7, 10, 5}, {1, 1, 15, 15}, {9, 9, 40, 5}};
  EXPECT_EQ(buffer.parts, parts);
  EXPECT_EQ(buffer.first(), 1);
  EXPECT_EQ(buffer.last(), 9);
  // Neighbours that live as long are one.
  EXPECT_EQ(make_buffer({{1, 2, 0, 8}, {1, 2, 8, 8}}).parts, (std::vector<LiveRange>{{1, 2, 0, 16}}));
}

}  // namespace
}  // namespace nncc::test
