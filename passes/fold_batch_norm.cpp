#include "passes/fold_batch_norm.h"

#include <algorithm>
#include <array>
#include <set>

#include "ir/builder.h"
#include "ir/convolution.h"
#include "passes/graph_util.h"
#include "passes/weight_values.h"

namespace nncc {

namespace {

using Ints = std::vector<int64_t>;

// The axis of a linear map's result that its output channels lie along.
constexpr int kResultChannels = 1;

// A map that is linear in an image (operand 0) and a weight (operand 1).
struct Linear {
  int input_channels = 0;               // axis of the image
  int weight_out = -1, weight_in = -1;  // axes of the weight; -1: groups share it out
  Ints summed;       // axes of the weight that are summed over for a constant image, in_channels included
  bool pads = true;  // a constant image has no constant result
};

bool reads_inside(const Convolution& conv) {
  for (size_t i = 0; i < conv.input.size(); ++i) {
    const int64_t end = (conv.output[i] - 1) * conv.strides[i] + (conv.window[i] - 1) * conv.dilation[i] + 1;
    if (conv.low[i] > 0 || end > conv.input[i]) return false;
  }
  return true;
}

std::optional<Linear> linear_map(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  switch (node.op) {
    case Op::Conv: {
      const Convolution conv = convolution(graph, node);
      Linear map{1, 0, conv.groups == 1 ? 1 : -1, {}, !reads_inside(conv)};
      // Depthwise: the image's channel is the result's.
      if (conv.groups == conv.in_channels && conv.groups == conv.out_channels) map.weight_in = 0;
      for (int axis = 1; axis < graph.type(node.operands[1]).rank(); ++axis) map.summed.push_back(axis);
      return map;
    }
    case Op::ConvInputGradient:
      if (node.attributes.integer(Attr::Groups) != 1) return std::nullopt;
      return Linear{1, 1, 0, {}, true};
    case Op::MatMul: {
      const int rank = node.types[0].rank();
      if (graph.type(node.operands[1]).rank() != rank || rank != 2) return std::nullopt;
      const bool ta = node.attributes.boolean(Attr::TransposeA),
                 tb = node.attributes.boolean(Attr::TransposeB);
      return Linear{ta ? 0 : 1, tb ? 0 : 1, tb ? 1 : 0, {tb ? 1 : 0}, false};
    }
    default:
      return std::nullopt;
  }
}

class Folder {
 public:
  Folder(Graph& graph, std::set<NodeId> weights)
      : graph_(graph), builder_(graph), weights_(std::move(weights)) {}

  int run() {
    for (const NodeId id : graph_.topological_order()) {
      if (!graph_.contains(id) || weights_.contains(id)) continue;
      builder_.location = graph_[id].location;
      if (graph_[id].op == Op::Mul)
        fold_scale(id);
      else if (graph_[id].op == Op::Add || graph_[id].op == Op::Sub)
        merge_shifts(id);
      else if (linear_map(graph_, id))
        fold_before(id);
    }
    graph_.erase_dead();
    return folded_;
  }

 private:
  bool is_weight(Value v) const { return weights_.contains(v.node); }

  // A vector of weights with one element for each index of `axis`, if that is what v repeats over all other
  // axes.
  Value by_channel(Value v, int axis) {
    if (!is_weight(v)) return {};
    const Shape shape = graph_.type(v).shape;
    const Value from = behind(v, axis);
    return from ? builder_.reshape(from, {shape[axis]}) : Value{};
  }
  Value behind(Value v, int axis) const {
    const Node& node = graph_[v.node];
    const Shape& shape = graph_.type(v).shape;
    if (axis >= static_cast<int>(shape.size())) return {};
    if (num_elements(shape) == shape[axis]) return v;
    if (node.op != Op::Broadcast) return {};
    const Value from = node.operands[0];
    const Shape& small = graph_.type(from).shape;
    const auto& dims = node.attributes.integers(Attr::Dims);
    for (size_t i = 0; i < small.size(); ++i)
      if (small[i] != 1 && dims[i] != axis) return {};
    return num_elements(small) == shape[axis] ? from : Value{};
  }

  // x op weight-by-channel, on either side.
  struct Step {
    Value x, vector;        // vector: [channels]
    bool negative = false;  // x - vector
  };
  std::optional<Step> step(NodeId id, Op op, int axis) {
    const Node node = graph_[id];
    if (node.op != op) return std::nullopt;
    for (const int i : {1, 0}) {
      if (op == Op::Sub && i == 0) continue;  // vector - x
      if (is_weight(node.operands[1 - i])) continue;
      if (const Value vector = by_channel(node.operands[i], axis))
        return Step{node.operands[1 - i], vector, op == Op::Sub};
    }
    return std::nullopt;
  }
  std::optional<Step> shift(NodeId id, int axis) {
    auto found = step(id, Op::Add, axis);
    return found ? found : step(id, Op::Sub, axis);
  }

  bool is_foldable(Value v) const {
    const auto map = linear_map(graph_, v.node);
    return map && is_weight(graph_[v.node].operands[1]) && !is_weight(graph_[v.node].operands[0]);
  }

  // weight * factor along an axis of the weight.
  Value scaled(Value weight, Value factor, int axis) {
    const Value wide = builder_.broadcast(factor, graph_.type(weight).shape, {axis});
    return as_weight(builder_.mul(weight, wide));
  }
  Value as_weight(Value v) {
    for (const NodeId id : graph_.ancestors(std::array{v.node})) weights_.insert(id);
    return v;
  }

  // The linear map with another weight, and perhaps another image.
  Value with(NodeId id, Value image, Value weight) {
    const Node node = graph_[id];
    const Value v = builder_.add_typed(node.op, std::array{image, weight}, node.types[0], node.attributes);
    graph_.set_name(v.node, node.name);
    return v;
  }
  Value shifted(Value v, Value vector) {
    return builder_.add(v, as_weight(builder_.broadcast(vector, graph_.type(v).shape, {kResultChannels})));
  }
  // And erases what only the old value needed, so that it does not count as a use.
  void replace(NodeId id, Value v) {
    graph_.set_name(v.node, graph_[id].name);
    graph_.replace_all_uses({id, 0}, v);
    erase_unused(id);
    ++folded_;
  }
  void erase_unused(NodeId id) {
    if (graph_[id].op == Op::Input || !graph_.users(id).empty() || graph_.is_result_or_update({id, 0}))
      return;
    const std::vector<Value> operands = graph_[id].operands;
    graph_.erase(id);
    for (const Value operand : operands)
      if (graph_.contains(operand.node)) erase_unused(operand.node);
  }

  // (x W) f = x (W f), and (x W + b) f = x (W f) + b f.
  void fold_scale(NodeId id) {
    const auto scale = step(id, Op::Mul, kResultChannels);
    if (!scale || !has_single_use(graph_, scale->x)) return;
    Value product = scale->x;
    const auto bias = shift(product.node, kResultChannels);
    if (bias && has_single_use(graph_, bias->x)) product = bias->x;
    if (!is_foldable(product)) return;
    const Node node = graph_[product.node];
    const int out = linear_map(graph_, product.node)->weight_out;
    Value result = with(product.node, node.operands[0], scaled(node.operands[1], scale->vector, out));
    if (product != scale->x) {
      const Value b = builder_.mul(bias->vector, scale->vector);
      result = shifted(result, bias->negative ? builder_.neg(b) : b);
    }
    replace(id, result);
  }

  // (x + a) + b = x + (a + b) behind a linear map.
  void merge_shifts(NodeId id) {
    const auto outer = shift(id, kResultChannels);
    if (!outer || !has_single_use(graph_, outer->x)) return;
    const auto inner = shift(outer->x.node, kResultChannels);
    if (!inner || !linear_map(graph_, inner->x.node)) return;
    const Value a = inner->negative ? builder_.neg(inner->vector) : inner->vector;
    const Value sum = outer->negative ? builder_.sub(a, outer->vector) : builder_.add(a, outer->vector);
    replace(id, shifted(inner->x, sum));
  }

  // (x f + a) W = x (f W) + a W.
  void fold_before(NodeId id) {
    const Linear map = *linear_map(graph_, id);
    const Node node = graph_[id];
    if (!is_weight(node.operands[1]) || is_weight(node.operands[0]) || map.weight_in < 0) return;
    Value image = node.operands[0], weight = node.operands[1], offset;
    if (const auto added = shift(image.node, map.input_channels);
        added && !map.pads && has_single_use(graph_, image)) {
      Value vector = builder_.broadcast(added->vector, graph_.type(weight).shape, {map.weight_in});
      vector = builder_.mul(weight, vector);
      if (!map.summed.empty()) vector = builder_.reduce(Op::ReduceSum, vector, map.summed);
      offset = added->negative ? builder_.neg(vector) : vector;
      image = added->x;
    }
    if (const auto scale = step(image.node, Op::Mul, map.input_channels);
        scale && has_single_use(graph_, image)) {
      weight = scaled(weight, scale->vector, map.weight_in);
      image = scale->x;
    }
    if (image == node.operands[0]) return;
    Value result = with(id, image, weight);
    if (offset) result = shifted(result, offset);
    replace(id, result);
  }

  Graph& graph_;
  GraphBuilder builder_;
  std::set<NodeId> weights_;
  int folded_ = 0;
};

}  // namespace

bool fold_batch_norm(Module& module, PassContext& context) {
  int folded = 0;
  for (Entry& entry : module.entries) {
    std::set<NodeId> weights = weight_nodes(module, entry);
    if (!weights.empty()) folded += Folder(entry.graph, std::move(weights)).run();
  }
  context.count("scales and shifts folded", folded);
  return folded > 0;
}

}  // namespace nncc
