#include "ir/statistics.h"

#include <algorithm>

#include "ir/convolution.h"
#include "ir/winograd.h"

namespace nncc {

namespace {

constexpr int64_t kFewestPixels = 16;
// As many blocks as several threads can share.
constexpr int64_t kTasks = 16;
// Of a block of Winograd's tiles.
constexpr int64_t kMostTiles = 28;
constexpr int64_t kMostBytes = 150 << 10;

// Of a direct convolution: whole images, or parts of them where images and panels are few. 0 if nothing will
// do.
int64_t direct_rows(const Shape& y, int64_t panels) {
  int64_t rows = 0;
  for (int64_t parts = 1; parts <= y[1]; ++parts) {
    if (y[1] % parts != 0 || y[0] * parts == 1) continue;
    if (y[1] / parts * y[2] < kFewestPixels) break;
    rows = y[1] / parts;
    if (y[0] * panels * parts >= kTasks) break;
  }
  return rows;
}

bool fits(const WinogradShape& shape, int64_t tiles, bool transformed, int64_t element_bytes) {
  const int64_t channels = shape.lanes + (transformed ? 0 : shape.in_channels);
  return tiles <= kMostTiles && shape.points * shape.points * tiles * channels * element_bytes <= kMostBytes;
}

// A row of tiles, or an image of them. 0 if neither will do.
int64_t winograd_rows(const Graph& graph, const Node& conv) {
  const WinogradShape shape = winograd_shape(graph, conv);
  const bool transformed = conv.op == Op::ConvWinogradTransformed;
  const int64_t bytes = dtype_size(conv.types[0].dtype), height = shape.output[0], width = shape.output[1];
  if (height % shape.tile == 0 && shape.tile * width >= kFewestPixels &&
      fits(shape, shape.tiles[1], transformed, bytes))
    return shape.tile;
  return fits(shape, shape.tiles[0] * shape.tiles[1], transformed, bytes) ? height : 0;
}

}  // namespace

std::optional<StatisticsBlocks> statistics_blocks(const Graph& graph, NodeId convolution) {
  const Node& conv = graph[convolution];
  const TensorType& y = conv.types[0];
  if (y.dtype != DType::F32 && y.dtype != DType::F64) return std::nullopt;
  int64_t rows = 0;
  if (conv.op == Op::ConvPacked)
    rows = direct_rows(y.shape, graph.type(conv.operands[1]).shape[0]);
  else if (conv.op == Op::ConvWinograd || conv.op == Op::ConvWinogradTransformed)
    rows = winograd_rows(graph, conv);
  if (rows == 0) return std::nullopt;
  const StatisticsBlocks blocks{rows, y.shape[0] * (y.shape[1] / rows), rows * y.shape[2]};
  if (blocks.pixels < kFewestPixels || blocks.count == 1 || y.shape[3] == 1) return std::nullopt;
  return blocks;
}

bool is_first_of_blocks(const Graph& graph, NodeId id, const StatisticsBlocks& blocks) {
  const Node& node = graph[id];
  if (node.op != Op::Slice) return false;
  const Shape& from = graph.type(node.operands[0]).shape;
  const auto is_each = [](const std::vector<int64_t>& list, int64_t value) {
    return std::all_of(list.begin(), list.end(), [&](int64_t i) { return i == value; });
  };
  return from.size() == 3 && from[0] == blocks.count && from[1] == blocks.pixels &&
         node.types[0].shape == Shape{blocks.count, 1, from[2]} &&
         is_each(node.attributes.integers(Attr::Starts), 0) &&
         is_each(node.attributes.integers(Attr::Strides), 1);
}

}  // namespace nncc
