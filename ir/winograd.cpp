#include "ir/winograd.h"

#include "ir/diagnostic.h"

namespace nncc {

const WinogradMatrices& winograd_matrices(int64_t tile) {
  static const WinogradMatrices two{
      {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}},
      {{1, 0, 0}, {1 / 2., 1 / 2., 1 / 2.}, {1 / 2., -1 / 2., 1 / 2.}, {0, 0, 1}},
      {{1, 1, 1, 0}, {0, 1, -1, -1}}};
  static const WinogradMatrices four{
      {{4, 0, -5, 0, 1, 0},
       {0, -4, -4, 1, 1, 0},
       {0, 4, -4, -1, 1, 0},
       {0, -2, -1, 2, 1, 0},
       {0, 2, -1, -2, 1, 0},
       {0, 4, 0, -5, 0, 1}},
      {{1 / 4., 0, 0},
       {-1 / 6., -1 / 6., -1 / 6.},
       {-1 / 6., 1 / 6., -1 / 6.},
       {1 / 24., 1 / 12., 1 / 6.},
       {1 / 24., -1 / 12., 1 / 6.},
       {0, 0, 1}},
      {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}}};
  NNCC_CHECK(tile == 2 || tile == 4, "no matrices for tiles of " + std::to_string(tile));
  return tile == 2 ? two : four;
}

WinogradMatrices::Matrix transposed(const WinogradMatrices::Matrix& matrix) {
  WinogradMatrices::Matrix result(matrix[0].size(), std::vector<double>(matrix.size()));
  for (size_t i = 0; i < matrix.size(); ++i)
    for (size_t j = 0; j < matrix[i].size(); ++j) result[j][i] = matrix[i][j];
  return result;
}

bool is_winograd(Op op) {
  switch (op) {
    case Op::WinogradWeights:
    case Op::WinogradInput:
    case Op::WinogradOutputGradient:
    case Op::WinogradWeightGradient:
    case Op::ConvWinograd:
    case Op::ConvWinogradTransformed:
    case Op::ConvWinogradWeightGradient:
      return true;
    default:
      return false;
  }
}

WinogradShape winograd_shape(Op op, std::span<const TensorType> operands, const TensorType& result,
                             const Attributes& attributes) {
  WinogradShape s;
  s.tile = attributes.integer(Attr::Tile);
  s.points = s.tile + 2;
  const auto read_tiles = [&](const Shape& transformed) {
    s.batch = transformed[2];
    s.tiles = {transformed[3], transformed[4]};
  };
  const auto read_output = [&](const Shape& y) {
    s.batch = y[0];
    s.output = {y[1], y[2]};
    s.out_channels = y[3];
    for (int axis : {0, 1}) s.tiles[axis] = (s.output[axis] + s.tile - 1) / s.tile;
  };
  const auto read_input = [&](const Shape& x) {
    s.batch = x[0];
    s.input = {x[1], x[2]};
    s.in_channels = x[3];
    const auto& low = attributes.integers(Attr::Low);
    s.low = {low[0], low[1]};
  };
  switch (op) {
    case Op::WinogradWeights: {
      const bool turned = attributes.boolean(Attr::Turned);
      s.in_channels = operands[0].shape[turned ? 0 : 1];
      s.out_channels = operands[0].shape[turned ? 1 : 0];
      s.lanes = attributes.integer(Attr::Lanes);
      break;
    }
    case Op::WinogradInput:
      read_tiles(result.shape);
      read_input(operands[0].shape);
      s.image_lanes = attributes.integer(Attr::Lanes);
      break;
    case Op::WinogradOutputGradient:
      read_output(operands[0].shape);
      s.lanes = attributes.integer(Attr::Lanes);
      break;
    case Op::WinogradWeightGradient:
      s.in_channels = result.shape[1];
      s.out_channels = result.shape[0];
      s.lanes = operands[0].shape[3];
      break;
    case Op::ConvWinograd:
      read_input(operands[0].shape);
      read_output(result.shape);
      s.lanes = operands[1].shape[3];
      break;
    case Op::ConvWinogradTransformed:
      read_output(result.shape);
      s.in_channels = operands[1].shape[2];
      s.image_lanes = operands[0].shape[5];
      s.lanes = operands[1].shape[3];
      break;
    case Op::ConvWinogradWeightGradient:
      read_tiles(operands[0].shape);
      s.in_channels = result.shape[2];
      s.image_lanes = operands[0].shape[5];
      s.lanes = result.shape[3];
      s.out_channels = result.shape[0] * s.lanes;
      break;
    default:
      NNCC_UNREACHABLE("not a part of Winograd's convolution");
  }
  return s;
}

WinogradShape winograd_shape(const Graph& graph, const Node& node) {
  std::vector<TensorType> operands;
  for (Value operand : node.operands) operands.push_back(graph.type(operand));
  return winograd_shape(node.op, operands, node.types[0], node.attributes);
}

double winograd_flops(Op op, const WinogradShape& s) {
  const auto d = [](int64_t i) { return static_cast<double>(i); };
  const double m = d(s.tile), a = d(s.points), in = d(s.in_channels), out = d(s.out_channels),
               tiles = d(s.num_tiles());
  switch (op) {
    case Op::WinogradWeights:
    case Op::WinogradWeightGradient:
      return 2 * in * out * 3 * a * (3 + a);
    case Op::WinogradInput:
      return 2 * tiles * in * 2 * a * a * a;
    case Op::WinogradOutputGradient:
      return 2 * tiles * out * m * a * (m + a);
    case Op::ConvWinogradWeightGradient:
      return 2 * tiles * m * m * 9 * in * out;
    default:
      return 2 * d(s.batch * s.output[0] * s.output[1]) * 9 * in * out;
  }
}

}  // namespace nncc
