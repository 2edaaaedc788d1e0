#include "passes/winograd.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "ir/diagnostic.h"
#include "ir/memory.h"

namespace nncc {
namespace {

using Ints = std::vector<int64_t>;

double d(int64_t i) { return static_cast<double>(i); }

// Panels of two vectors where they divide the channels.
int64_t panel_lanes(int64_t channels, DType dtype, int vector_lanes) {
  const int64_t lanes = dtype == DType::F64 ? std::max(1, vector_lanes / 2) : vector_lanes;
  return channels % (2 * lanes) == 0 ? 2 * lanes : lanes;
}
// Vectors of inputs hold no channel that is not there.
int64_t input_lanes(int64_t channels, int vector_lanes) {
  return std::gcd(channels, static_cast<int64_t>(vector_lanes));
}

// What a cache holds of weights from one call to the next.
constexpr double kCacheBytes = 12 << 20;
// Of inputs that the convolution transforms by itself.
constexpr int64_t kMostChannels = 160;
// Sums of more terms lose more than 2e-5 of the largest result with tiles of 4 x 4 (docs/numerics.md).
constexpr int64_t kMostChannelsOfTile4 = 384;

struct Extents {
  int64_t points, rows, columns;  // a tile's, and tiles along the axes of y
  Extents(const Convolution& conv, int64_t tile)
      : points((tile + 2) * (tile + 2)),
        rows(ceil_div(conv.output[0], tile)),
        columns(ceil_div(conv.output[1], tile)) {}
};

}  // namespace

WinogradPlan winograd_plan(const Convolution& conv) {
  const auto all_are = [](const Ints& list, int64_t value) {
    return std::all_of(list.begin(), list.end(), [&](int64_t v) { return v == value; });
  };
  if (conv.kind == ConvKind::InputGradient || conv.input.size() != 2 || conv.window != Shape{3, 3} ||
      !all_are(conv.strides, 1) || !all_are(conv.dilation, 1) || conv.groups != 1)
    return {};
  if (std::min(conv.in_channels, conv.out_channels) < 16) return {};
  // In multiply-adds of the definition.
  const double direct = d(conv.num_products());
  const bool by_weights = conv.kind == ConvKind::WeightGradient;
  WinogradPlan best;
  double least = 0.9 * direct;
  for (const int64_t tile : {4, 2}) {
    if (tile == 4 && !by_weights && conv.in_channels > kMostChannelsOfTile4) continue;
    const Extents e(conv, tile);
    const double tiles = d(conv.batch * e.rows * e.columns), points = d(e.points), in = d(conv.in_channels),
                 out = d(conv.out_channels);
    // Lanes that hold no channel take part, and products of few terms are no faster.
    const double products = tiles * points * in * d(ceil_div(conv.out_channels, 16) * 16) * 1.25;
    // Of each element that is transformed: its sums, and for gradients by weights its way through memory.
    const double transforms = tiles * points * (in + out) * (by_weights ? 24 : 12);
    // Transformed weights are read from memory where no cache holds them; their gradients are transformed
    // back.
    const double weights =
        points * in * out * (points * in * out * 4 > kCacheBytes ? 12 : 4) * (by_weights ? 2 : 1);
    const double cost = products + transforms + weights;
    if (cost < least) {
      least = cost;
      best.tile = tile;
    }
  }
  // Where a tile has many channels, blocks that fit on a kernel's stack have few tiles, and read the weights
  // too often.
  best.transformed = best.tile != 0 && conv.in_channels > kMostChannels;
  return best;
}

int64_t winograd_tile(const Convolution& conv) { return winograd_plan(conv).tile; }

namespace {

Value transform_input(GraphBuilder& b, const Convolution& conv, int64_t tile, Value x, int vector_lanes) {
  const Extents e(conv, tile);
  const int64_t lanes = input_lanes(conv.in_channels, vector_lanes);
  return b.add_typed(
      Op::WinogradInput, std::array{x},
      {b.type(x).dtype, {ceil_div(conv.in_channels, lanes), e.points, conv.batch, e.rows, e.columns, lanes}},
      {{Attr::Tile, tile}, {Attr::Low, Ints{conv.low[0], conv.low[1]}}, {Attr::Lanes, lanes}});
}

}  // namespace

Value winograd_convolution(GraphBuilder& b, const Convolution& conv, const WinogradPlan& plan, Value x,
                           Value w, bool turned, int vector_lanes) {
  NNCC_CHECK(plan.tile != 0 && conv.kind == ConvKind::Forward, "no convolution for Winograd's algorithm");
  const DType dtype = b.type(x).dtype;
  const Extents e(conv, plan.tile);
  const int64_t lanes = panel_lanes(conv.out_channels, dtype, vector_lanes);
  const Value u =
      b.add_typed(Op::WinogradWeights, std::array{w},
                  {dtype, {ceil_div(conv.out_channels, lanes), e.points, conv.in_channels, lanes}},
                  {{Attr::Tile, plan.tile}, {Attr::Lanes, lanes}, {Attr::Turned, turned}});
  const TensorType y{dtype, {conv.batch, conv.output[0], conv.output[1], conv.out_channels}};
  if (plan.transformed)
    return b.add_typed(Op::ConvWinogradTransformed,
                       std::array{transform_input(b, conv, plan.tile, x, vector_lanes), u}, y,
                       {{Attr::Tile, plan.tile}});
  return b.add_typed(Op::ConvWinograd, std::array{x, u}, y,
                     {{Attr::Tile, plan.tile}, {Attr::Low, Ints{conv.low[0], conv.low[1]}}});
}

Value winograd_weight_gradient(GraphBuilder& b, const Convolution& conv, const WinogradPlan& plan, Value x,
                               Value dy, int vector_lanes) {
  NNCC_CHECK(plan.tile != 0, "no gradient for Winograd's algorithm");
  const DType dtype = b.type(x).dtype;
  const Extents e(conv, plan.tile);
  const int64_t lanes = panel_lanes(conv.out_channels, dtype, vector_lanes),
                panels = ceil_div(conv.out_channels, lanes);
  const Value v = transform_input(b, conv, plan.tile, x, vector_lanes);
  const Value g = b.add_typed(Op::WinogradOutputGradient, std::array{dy},
                              {dtype, {panels, e.points, conv.batch, e.rows, e.columns, lanes}},
                              {{Attr::Tile, plan.tile}, {Attr::Lanes, lanes}});
  const Value du =
      b.add_typed(Op::ConvWinogradWeightGradient, std::array{v, g},
                  {dtype, {panels, e.points, conv.in_channels, lanes}}, {{Attr::Tile, plan.tile}});
  return b.add_typed(Op::WinogradWeightGradient, std::array{du},
                     {dtype, {conv.out_channels, conv.in_channels, 3, 3}}, {{Attr::Tile, plan.tile}});
}

}  // namespace nncc
