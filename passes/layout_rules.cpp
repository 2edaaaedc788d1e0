#include "passes/layout_rules.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <numeric>

#include "passes/fusion_rules.h"

namespace nncc {

namespace {

using enum OpTrait;
using AttrList = std::initializer_list<Attr>;
using Ints = std::vector<int64_t>;
using Demand = LayoutDemand;
constexpr int Variadic = kVariadic;

bool is_image(const TensorType& type) { return type.rank() >= 3; }

Demand as_written(const Graph& graph, NodeId id) {
  return {true, false, std::vector<Demand::Operand>(graph[id].operands.size(), Demand::First)};
}

Demand in_any(const Graph& graph, NodeId id) {
  if (!is_image(graph[id].types[0])) return as_written(graph, id);
  return {true, true, std::vector<Demand::Operand>(graph[id].operands.size(), Demand::Same)};
}

// Positions in a window count in row-major order, which a window over channels would change.
Demand over_windows(const Graph& graph, NodeId id) {
  if (is_image(graph[id].types[0]) && graph[id].attributes.integers(Attr::Sizes)[1] != 1)
    return as_written(graph, id);
  return in_any(graph, id);
}

Demand constant(const Graph& graph, NodeId id) {
  return is_splat_constant(graph[id]) ? in_any(graph, id) : as_written(graph, id);
}

Demand reduction(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  const int rank = graph.type(node.operands[0]).rank();
  if (rank < 3) return as_written(graph, id);
  const Ints axes = node.attributes.find(Attr::Axes) ? node.attributes.integers(Attr::Axes)
                                                     : Ints{node.attributes.integer(Attr::Axis)};
  const auto is_kept = [&](int64_t axis) { return std::find(axes.begin(), axes.end(), axis) == axes.end(); };
  bool channels_end = true;  // what is kept is in the same order, wherever the channels are
  for (int64_t axis = 2; axis < rank; ++axis) channels_end &= !is_kept(axis);
  if (!is_kept(1) || channels_end) return {true, false, {Demand::Either}};
  return is_kept(0) ? in_any(graph, id) : as_written(graph, id);
}

Demand broadcast(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (!is_image(node.types[0])) return as_written(graph, id);
  const bool keeps_axes = graph.type(node.operands[0]).rank() == node.types[0].rank();
  return {true, true, {keeps_axes ? Demand::Same : Demand::First}};
}

// Spatial axes may be merged and split.
Demand reshape(const Graph& graph, NodeId id) {
  const Shape &from = graph.type(graph[id].operands[0]).shape, &to = graph[id].types[0].shape;
  if (from.size() >= 3 && to.size() >= 3 && from[0] == to[0] && from[1] == to[1]) return in_any(graph, id);
  return as_written(graph, id);
}

// The kernels' layout.
bool has_fast_convolution(const TensorType& type) {
  return (type.dtype == DType::F32 || type.dtype == DType::F64) && (type.rank() == 3 || type.rank() == 4);
}
Demand convolution(const Graph& graph, NodeId id) {
  if (!has_fast_convolution(graph[id].types[0])) return as_written(graph, id);
  return {false, true, {Demand::Last, Demand::First}};
}
Demand weight_gradient(const Graph& graph, NodeId id) {
  if (!has_fast_convolution(graph[id].types[0])) return as_written(graph, id);
  return {true, false, {Demand::Last, Demand::Last}};
}

// Elementwise ops need no row; any other without one stays as it was written.
using Rule = Demand (*)(const Graph&, NodeId);
template <Op op, uint32_t traits>
struct Row {
  static constexpr Rule rule = (traits & Elementwise) != 0 ? in_any : as_written;
};
#define NNCC_LAYOUT(op, function)          \
  template <uint32_t traits>               \
  struct Row<Op::op, traits> {             \
    static constexpr Rule rule = function; \
  }
NNCC_LAYOUT(Constant, constant);
NNCC_LAYOUT(Iota, in_any);
NNCC_LAYOUT(ReduceSum, reduction);
NNCC_LAYOUT(ReduceProd, reduction);
NNCC_LAYOUT(ReduceMax, reduction);
NNCC_LAYOUT(ReduceMin, reduction);
NNCC_LAYOUT(ArgMax, reduction);
NNCC_LAYOUT(ArgMin, reduction);
NNCC_LAYOUT(Reverse, in_any);
NNCC_LAYOUT(Concat, in_any);
NNCC_LAYOUT(Slice, in_any);
NNCC_LAYOUT(Pad, in_any);
NNCC_LAYOUT(Reshape, reshape);
NNCC_LAYOUT(Broadcast, broadcast);
NNCC_LAYOUT(WindowSum, over_windows);
NNCC_LAYOUT(WindowSpread, over_windows);
NNCC_LAYOUT(WindowMax, over_windows);
NNCC_LAYOUT(WindowArgMax, over_windows);
NNCC_LAYOUT(WindowScatter, over_windows);
NNCC_LAYOUT(WindowGather, over_windows);
NNCC_LAYOUT(Conv, convolution);
NNCC_LAYOUT(ConvInputGradient, convolution);
NNCC_LAYOUT(ConvWeightGradient, weight_gradient);
#undef NNCC_LAYOUT

}  // namespace

int64_t axis_with_channels_last(int64_t axis, int rank) {
  if (rank < 3 || axis == 0) return axis;
  return axis == 1 ? rank - 1 : axis - 1;
}

Ints with_channels_last(const Ints& list) {
  Ints result = list;
  if (list.size() >= 3) std::rotate(result.begin() + 1, result.begin() + 2, result.end());
  return result;
}

Ints perm_to_channels_last(int rank) {
  Ints perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  return with_channels_last(perm);
}

Ints perm_to_channels_first(int rank) {
  Ints perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  if (rank >= 3) std::rotate(perm.begin() + 1, perm.end() - 1, perm.end());
  return perm;
}

bool layouts_agree(const Shape& shape) {
  if (shape.size() < 3 || shape[1] == 1) return true;
  return std::all_of(shape.begin() + 2, shape.end(), [](int64_t extent) { return extent == 1; });
}

LayoutDemand layout_demand(const Graph& graph, NodeId id) {
  static constexpr std::array<Rule, kNumOps> kRules = {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) Row<Op::Enum, (traits)>::rule,
#include "ir/ops.def"
  };
  return kRules.at(static_cast<size_t>(graph[id].op))(graph, id);
}

Attributes attributes_with_channels_last(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  const int rank = node.operands.empty() ? node.types[0].rank() : graph.type(node.operands[0]).rank();
  Attributes result;
  for (const auto& [attr, value] : node.attributes.list()) {
    const auto* list = std::get_if<Ints>(&value);
    if (attr == Attr::Axis) {
      result.set(attr, axis_with_channels_last(std::get<int64_t>(value), rank));
    } else if (attr == Attr::Axes) {
      Ints axes;
      for (const int64_t axis : *list) axes.push_back(axis_with_channels_last(axis, rank));
      std::sort(axes.begin(), axes.end());
      result.set(attr, axes);
    } else {
      result.set(attr, list ? with_channels_last(*list) : value);
    }
  }
  return result;
}

}  // namespace nncc
