#include "ir/pooling.h"

#include "ir/window.h"
#include "ir/winograd.h"

namespace nncc {

namespace {

bool is_pooled_op(Op op) {
  return op == Op::ConvPacked || op == Op::ConvWinograd || op == Op::ConvWinogradTransformed;
}

bool is_pooling_op(Op op) { return op == Op::WindowMax || op == Op::WindowArgMax || op == Op::WindowSum; }

}  // namespace

std::optional<Pooling> pooling_after(const Graph& graph, NodeId convolution, NodeId window) {
  const Node& conv = graph[convolution];
  const TensorType& type = conv.types[0];
  if (!is_pooled_op(conv.op) || !is_pooling_op(graph[window].op) || !is_small_window(graph, window))
    return std::nullopt;
  if (type.dtype != DType::F32 && type.dtype != DType::F64) return std::nullopt;
  const WindowShape shape = window_shape(graph, window);
  if (shape.image != type.shape || !shape.is_plain(0) || !shape.is_plain(3) || shape.taps() == 1)
    return std::nullopt;
  for (size_t axis : {1, 2})
    if (shape.sizes[axis] != shape.strides[axis] || shape.low[axis] != 0 ||
        shape.windows[axis] * shape.strides[axis] > shape.image[axis])
      return std::nullopt;
  if (is_winograd(conv.op)) {
    const WinogradShape parts = winograd_shape(graph, conv);
    for (size_t axis : {1, 2})
      if (parts.tile % shape.sizes[axis] != 0 ||
          shape.windows[axis] * shape.sizes[axis] <= (parts.tiles[axis - 1] - 1) * parts.tile)
        return std::nullopt;
  }
  return Pooling{shape.sizes[1], shape.sizes[2]};
}

}  // namespace nncc
