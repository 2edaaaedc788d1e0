#include "passes/block_statistics.h"

#include <algorithm>

#include "ir/builder.h"
#include "ir/statistics.h"
#include "passes/graph_util.h"

namespace nncc {

namespace {

// Of a result, in bytes: a smaller one is still in the second-level cache when it is read again, and what
// that takes is less than what the sums cost the convolution.
constexpr int64_t kSmallest = 2 << 20;

// The convolution that v is the result of, with or without a bias.
std::optional<NodeId> convolution_of(const Graph& graph, Value v) {
  const Node& node = graph[v.node];
  if (op_info(node.op).has(Contraction)) return v.node;
  if (node.op != Op::Add) return std::nullopt;
  for (const int i : {0, 1}) {
    const NodeId conv = node.operands[i].node;
    if (op_info(graph[conv].op).has(Contraction) && graph[node.operands[1 - i].node].op == Op::Broadcast)
      return conv;
  }
  return std::nullopt;
}

class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph), b_(graph) {}

  int run() {
    std::vector<Distances> all;
    for (NodeId id : graph_.topological_order())
      if (auto found = distances(id)) all.push_back(std::move(*found));
    for (const Distances& found : all) rewrite(found);
    return static_cast<int>(all.size());
  }

 private:
  struct Distances {
    Value y, first;            // first: [1, 1, 1, c]
    std::vector<NodeId> sums;  // of d, to [c]
    std::vector<NodeId> squares;
    StatisticsBlocks blocks;
  };

  // Sums of v over all but the channels.
  std::vector<NodeId> sums_of(NodeId id) const {
    std::vector<NodeId> sums;
    for (NodeId user : graph_.users(id))
      if (graph_[user].op == Op::ReduceSum &&
          graph_[user].attributes.integers(Attr::Axes) == std::vector<int64_t>{0, 1, 2})
        sums.push_back(user);
    return sums;
  }

  // That the node is y - broadcast(first pixel of y), and summed.
  std::optional<Distances> distances(NodeId id) const {
    const Node& sub = graph_[id];
    if (sub.op != Op::Sub || sub.types[0].rank() != 4) return std::nullopt;
    Distances found;
    found.y = sub.operands[0];
    const Node& repeat = graph_[sub.operands[1].node];
    if (repeat.op != Op::Broadcast) return std::nullopt;
    found.first = repeat.operands[0];
    const Node& slice = graph_[found.first.node];
    const auto& starts =
        slice.op == Op::Slice ? slice.attributes.integers(Attr::Starts) : std::vector<int64_t>{};
    if (slice.op != Op::Slice || slice.operands[0] != found.y ||
        slice.types[0].shape != Shape{1, 1, 1, sub.types[0].shape[3]} ||
        std::any_of(starts.begin(), starts.end(), [](int64_t i) { return i != 0; }))
      return std::nullopt;
    const auto conv = convolution_of(graph_, found.y);
    if (!conv || graph_[*conv].types[0].shape != sub.types[0].shape || sub.types[0].byte_size() < kSmallest)
      return std::nullopt;
    const auto blocks = statistics_blocks(graph_, *conv);
    if (!blocks) return std::nullopt;
    found.blocks = *blocks;
    found.sums = sums_of(id);
    for (NodeId user : graph_.users(id)) {
      const Node& square = graph_[user];
      if (square.op != Op::Mul || square.operands[0] != square.operands[1]) continue;
      const std::vector<NodeId> sums = sums_of(user);
      found.squares.insert(found.squares.end(), sums.begin(), sums.end());
    }
    if (found.sums.empty() || found.squares.empty()) return std::nullopt;
    return found;
  }

  void rewrite(const Distances& found) {
    const StatisticsBlocks& blocks = found.blocks;
    const DType dtype = graph_.type(found.y).dtype;
    const int64_t channels = graph_.type(found.y).shape[3];
    const Shape whole{blocks.count, blocks.pixels, channels}, rows{blocks.count, channels};
    b_.location = graph_[found.sums[0]].location;
    const Value v = b_.reshape(found.y, whole);
    const std::vector<int64_t> none{0, 0, 0}, ones{1, 1, 1};
    const Value f = b_.add_typed(Op::Slice, {v}, {dtype, {blocks.count, 1, channels}},
                                 {{Attr::Starts, none}, {Attr::Strides, ones}});
    const Value d = b_.sub(v, b_.broadcast(f, whole, {0, 1, 2}));
    const Value p = b_.reduce(Op::ReduceSum, d, {1}), q = b_.reduce(Op::ReduceSum, b_.mul(d, d), {1});
    // The second stage, over blocks.
    const Value s = b_.broadcast(b_.reshape(found.first, {channels}), rows, {1});
    const Value e = b_.sub(b_.reshape(f, rows), s);
    const Value ne = b_.mul(e, static_cast<double>(blocks.pixels));
    replace(found.sums, b_.add(p, ne));
    replace(found.squares, b_.add(q, b_.mul(e, b_.add(b_.mul(p, 2), ne))));
  }

  void replace(const std::vector<NodeId>& sums, Value terms) {
    const Value sum = b_.reduce(Op::ReduceSum, terms, {0});
    for (NodeId id : sums) {
      graph_.set_name(sum.node, graph_[id].name);
      graph_.replace_all_uses({id, 0}, sum);
      graph_.erase(id);
    }
  }

  Graph& graph_;
  GraphBuilder b_;
};

}  // namespace

bool block_statistics(Module& module, PassContext& context) {
  int rewritten = 0;
  for_each_graph(module, [&](Graph& graph) {
    const int here = Rewriter(graph).run();
    if (here > 0) graph.erase_dead();
    rewritten += here;
  });
  context.count("convolutions that gather statistics", rewritten);
  return rewritten > 0;
}

}  // namespace nncc
