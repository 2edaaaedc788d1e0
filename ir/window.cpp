#include "ir/window.h"

namespace nncc {

namespace {

constexpr int64_t kMostTaps = 32;

}  // namespace

int64_t WindowShape::taps() const {
  int64_t n = 1;
  for (size_t axis = 0; axis < sizes.size(); ++axis) n *= taps(axis);
  return n;
}

bool WindowShape::overlaps() const {
  for (size_t axis = 0; axis < sizes.size(); ++axis)
    if (sizes[axis] > strides[axis]) return true;
  return false;
}

bool WindowShape::may_be_empty() const {
  for (size_t axis = 0; axis < sizes.size(); ++axis)
    if (low[axis] >= sizes[axis] || (windows[axis] - 1) * strides[axis] - low[axis] >= image[axis])
      return true;
  return false;
}

bool is_window(Op op) { return op_info(op).has(Window) || op == Op::WindowGather; }

WindowShape window_shape(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  WindowShape result;
  result.back = node.op == Op::WindowSpread || node.op == Op::WindowScatter;
  result.image = graph.type(node.operands[0]).shape;
  result.windows = node.types[0].shape;
  if (result.back) std::swap(result.image, result.windows);
  result.sizes = node.attributes.integers(Attr::Sizes);
  result.strides = node.attributes.integers(Attr::Strides);
  result.low = node.attributes.integers(Attr::Low);
  return result;
}

bool is_small_window(const Graph& graph, NodeId id) {
  if (!is_window(graph[id].op)) return false;
  const WindowShape shape = window_shape(graph, id);
  const bool extremum = graph[id].op == Op::WindowMax || graph[id].op == Op::WindowArgMax;
  return shape.taps() <= kMostTaps && !(extremum && shape.may_be_empty());
}

}  // namespace nncc
