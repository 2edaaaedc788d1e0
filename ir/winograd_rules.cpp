// The shape and evaluation rules of Winograd's convolutions.
#include <algorithm>

#include "ir/diagnostic.h"
#include "ir/index_space.h"
#include "ir/memory.h"
#include "ir/spatial_rules.h"
#include "ir/winograd.h"

namespace nncc {
namespace {

using Types = std::vector<TensorType>;
using Results = std::vector<Literal>;
using Matrix = WinogradMatrices::Matrix;

struct Ranks {
  std::vector<int> operands;
  int result;
};
Ranks ranks_of(Op op) {
  switch (op) {
    case Op::WinogradWeights:
    case Op::WinogradWeightGradient:
      return {{4}, 4};
    case Op::WinogradInput:
    case Op::WinogradOutputGradient:
      return {{4}, 6};
    case Op::ConvWinograd:
      return {{4, 4}, 4};
    case Op::ConvWinogradTransformed:
      return {{6, 4}, 4};
    default:
      return {{6, 6}, 4};
  }
}

}  // namespace

Types winograd_types(Op op, std::span<const TensorType> operands, const Attributes& attributes,
                     const TensorType& wanted, std::string& error) {
  const auto fail = [&](std::string message) {
    error = std::move(message);
    return Types{};
  };
  const Ranks ranks = ranks_of(op);
  for (const TensorType& type : operands)
    if (type.dtype != wanted.dtype || (type.dtype != DType::F32 && type.dtype != DType::F64))
      return fail("operands and result are not f32 or f64, all the same");
  for (size_t i = 0; i < operands.size(); ++i)
    if (operands[i].rank() != ranks.operands[i])
      return fail("operand " + std::to_string(i) + " is " + operands[i].str() + ", expected rank " +
                  std::to_string(ranks.operands[i]));
  if (wanted.rank() != ranks.result)
    return fail("the result is " + wanted.str() + ", expected rank " + std::to_string(ranks.result));
  const int64_t tile = attributes.integer(Attr::Tile);
  if (tile != 2 && tile != 4) return fail("`tile` is neither 2 nor 4");
  const std::vector<Attr>& own = op_info(op).attributes;
  const auto has = [&](Attr attr) { return std::find(own.begin(), own.end(), attr) != own.end(); };
  if (has(Attr::Lanes) && attributes.integer(Attr::Lanes) < 1) return fail("`lanes` is not above 0");
  if (has(Attr::Low)) {
    const auto& low = attributes.integers(Attr::Low);
    if (low.size() != 2 || low[0] < 0 || low[1] < 0) return fail("`low` is not two numbers from 0 on");
  }
  const WinogradShape s = winograd_shape(op, operands, wanted, attributes);
  const int64_t a2 = s.points * s.points;
  const Shape u{s.panels(), a2, s.in_channels, s.lanes};
  const Shape v{ceil_div(s.in_channels, s.image_lanes), a2, s.batch, s.tiles[0], s.tiles[1], s.image_lanes};
  const Shape g{s.panels(), a2, s.batch, s.tiles[0], s.tiles[1], s.lanes};
  std::vector<Shape> expected;
  Shape result = wanted.shape;
  switch (op) {
    case Op::WinogradWeights:
      expected = {operands[0].shape};
      expected[0][2] = expected[0][3] = 3;
      result = u;
      break;
    case Op::WinogradInput:
      expected = {operands[0].shape};
      result = v;
      break;
    case Op::WinogradOutputGradient:
      expected = {operands[0].shape};
      result = g;
      break;
    case Op::WinogradWeightGradient:
      expected = {u};
      result[2] = result[3] = 3;
      break;
    case Op::ConvWinograd:
      expected = {operands[0].shape, u};
      if (operands[0].shape[0] != wanted.shape[0])
        return fail(operands[0].str() + " and " + wanted.str() + " do not fit each other");
      break;
    case Op::ConvWinogradTransformed:
      expected = {v, u};
      break;
    default:
      expected = {v, g};
      result = u;
      break;
  }
  for (size_t i = 0; i < operands.size(); ++i)
    if (operands[i].shape != expected[i])
      return fail("operand " + std::to_string(i) + " is " + operands[i].str() + ", expected " +
                  TensorType{wanted.dtype, expected[i]}.str());
  if (wanted.shape != result)
    return fail("the result is " + wanted.str() + ", expected " + TensorType{wanted.dtype, result}.str());
  return {wanted};
}

namespace {

// left x t(left), where x(i, j) is square.
template <typename Element>
Matrix sandwich(const Matrix& left, Element x) {
  const size_t n = left.size(), k = left[0].size();
  Matrix half(n, std::vector<double>(k)), result(n, std::vector<double>(n));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < k; ++j)
      for (size_t p = 0; p < k; ++p)
        half[i][j] += left[i][p] * x(static_cast<int64_t>(p), static_cast<int64_t>(j));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      for (size_t p = 0; p < k; ++p) result[i][j] += half[i][p] * left[j][p];
  return result;
}

// result[.., i * columns + j at `axis`, ..] = m[i][j]
void store(Literal& result, Coordinates at, size_t axis, const Matrix& m) {
  at[axis] = 0;
  for (const auto& row : m)
    for (const double e : row) {
      result.set(offset_of(at, result.type().shape), e);
      ++at[axis];
    }
}

// Tiles of image [n, h, w, c] with their first element at tile * step - low, transformed by `left`.
Literal transform_image(const Literal& image, const Matrix& left, int64_t step, std::array<int64_t, 2> low,
                        const TensorType& type) {
  const Shape& from = image.type().shape;
  Literal result(type);
  const Shape& shape = type.shape;
  const int64_t lanes = shape[5];
  for_each_index({from[3], from[0], shape[3], shape[4]}, [&](const Coordinates& i, int64_t) {
    const auto element = [&](int64_t row, int64_t column) {
      const int64_t y = i[2] * step + row - low[0], x = i[3] * step + column - low[1];
      if (y < 0 || x < 0 || y >= from[1] || x >= from[2]) return 0.0;
      return image.real(offset_of({i[1], y, x, i[0]}, from));
    };
    store(result, {i[0] / lanes, 0, i[1], i[2], i[3], i[0] % lanes}, 1, sandwich(left, element));
  });
  return result;
}

Literal multiply(const Literal& v, const Literal& u, const WinogradShape& s, const TensorType& type) {
  const Matrix& at = winograd_matrices(s.tile).at;
  Literal y(type);
  for_each_index({s.batch, s.tiles[0], s.tiles[1], s.out_channels}, [&](const Coordinates& i, int64_t) {
    const auto sum = [&](int64_t row, int64_t column) {
      const int64_t f = row * s.points + column;
      double total = 0;
      for (int64_t c = 0; c < s.in_channels; ++c)
        total +=
            u.real(offset_of({i[3] / s.lanes, f, c, i[3] % s.lanes}, u.type().shape)) *
            v.real(offset_of({c / s.image_lanes, f, i[0], i[1], i[2], c % s.image_lanes}, v.type().shape));
      return total;
    };
    const Matrix outputs = sandwich(at, sum);
    for_each_index({s.tile, s.tile}, [&](const Coordinates& k, int64_t) {
      const int64_t row = i[1] * s.tile + k[0], column = i[2] * s.tile + k[1];
      if (row < s.output[0] && column < s.output[1])
        y.set(offset_of({i[0], row, column, i[3]}, type.shape), outputs[k[0]][k[1]]);
    });
  });
  return y;
}

}  // namespace

Results evaluate_winograd(Op op, const EvalQuery& q) {
  std::vector<TensorType> types;
  for (const Literal& operand : q.operands) types.push_back(operand.type());
  const WinogradShape s = winograd_shape(op, types, q.types[0], q.attributes);
  const WinogradMatrices& matrices = winograd_matrices(s.tile);
  const Literal& x = q.operands[0];
  const Shape& from = x.type().shape;
  Literal result(q.types[0]);
  const Shape& shape = result.type().shape;
  switch (op) {
    case Op::WinogradWeights: {
      const bool turned = q.attributes.boolean(Attr::Turned);
      for_each_index({s.out_channels, s.in_channels}, [&](const Coordinates& i, int64_t) {
        store(result, {i[0] / s.lanes, 0, i[1], i[0] % s.lanes}, 1,
              sandwich(matrices.g, [&](int64_t row, int64_t column) {
                return turned ? x.real(offset_of({i[1], i[0], 2 - row, 2 - column}, from))
                              : x.real(offset_of({i[0], i[1], row, column}, from));
              }));
      });
      return {result};
    }
    case Op::WinogradInput:
      return {transform_image(x, matrices.bt, s.tile, s.low, q.types[0])};
    case Op::WinogradOutputGradient:
      return {transform_image(x, transposed(matrices.at), s.tile, {0, 0}, q.types[0])};
    case Op::WinogradWeightGradient:
      for_each_index({s.out_channels, s.in_channels}, [&](const Coordinates& i, int64_t) {
        const Matrix dw = sandwich(transposed(matrices.g), [&](int64_t row, int64_t column) {
          return x.real(offset_of({i[0] / s.lanes, row * s.points + column, i[1], i[0] % s.lanes}, from));
        });
        for_each_index({3, 3}, [&](const Coordinates& k, int64_t) {
          result.set(offset_of({i[0], i[1], k[0], k[1]}, shape), dw[k[0]][k[1]]);
        });
      });
      return {result};
    case Op::ConvWinograd: {
      WinogradShape with_input = s;
      with_input.image_lanes = 1;
      const TensorType transformed{DType::F64,
                                   {s.in_channels, s.points * s.points, s.batch, s.tiles[0], s.tiles[1], 1}};
      return {multiply(transform_image(x, matrices.bt, s.tile, s.low, transformed), q.operands[1], with_input,
                       q.types[0])};
    }
    case Op::ConvWinogradTransformed:
      return {multiply(x, q.operands[1], s, q.types[0])};
    case Op::ConvWinogradWeightGradient:
      for_each_index(shape, [&](const Coordinates& i, int64_t at) {
        double sum = 0;
        for_each_index({s.batch, s.tiles[0], s.tiles[1]}, [&](const Coordinates& t, int64_t) {
          sum +=
              x.real(offset_of({i[2] / s.image_lanes, i[1], t[0], t[1], t[2], i[2] % s.image_lanes}, from)) *
              q.operands[1].real(offset_of({i[0], i[1], t[0], t[1], t[2], i[3]}, q.operands[1].type().shape));
        });
        result.set(at, sum);
      });
      return {result};
    default:
      NNCC_UNREACHABLE("not a part of Winograd's convolution");
  }
}

}  // namespace nncc
