#include "codegen/winograd.h"

#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Internal::make_const;
using Halide::Internal::simplify;

namespace {

int as_int(int64_t i) { return static_cast<int>(i); }

// matrix[i][j] at indices known at run time only.
Expr entry(const WinogradMatrices::Matrix& matrix, const Expr& i, const Expr& j, Halide::Type type) {
  std::vector<Expr> values;
  for (const auto& row : matrix)
    for (const double e : row) values.push_back(make_const(type, e));
  return Halide::mux(i * as_int(static_cast<int64_t>(matrix[0].size())) + j, values);
}

}  // namespace

Expr padded_at(Lowering& lowering, Value image, const Expr& n, const Expr& y, const Expr& x, const Expr& c) {
  const Shape& shape = lowering.body().type(image).shape;
  const Guarded row = guard(simplify(y), shape[1]), column = guard(simplify(x), shape[2]);
  const Expr element = lowering.at(image, {n, row.at, column.at, c});
  return select(row.inside && column.inside, element, make_const(element.type(), 0));
}

Expr combine(const std::vector<double>& row, const std::function<Expr(int)>& f) {
  Expr sum;
  for (size_t k = 0; k < row.size(); ++k) {
    if (row[k] == 0) continue;
    Expr term = f(static_cast<int>(k));
    if (row[k] == -1)
      term = -term;
    else if (row[k] != 1)
      term = term * make_const(term.type(), row[k]);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

Expr apply(const WinogradMatrices::Matrix& matrix, const Expr& which, const std::function<Expr(int)>& f) {
  std::vector<Expr> rows;
  for (const auto& row : matrix) rows.push_back(combine(row, f));
  return Halide::mux(which, rows);
}

SpatialTerms winograd_terms(Lowering& lowering, Value value) {
  const Node& node = lowering.body()[value.node];
  const WinogradShape s = winograd_shape(lowering.body(), node);
  const WinogradMatrices& matrices = winograd_matrices(s.tile);
  const Halide::Type type = compute_type(node.types[0].dtype);
  const int a = as_int(s.points), tile = as_int(s.tile), lanes = as_int(s.lanes),
            image_lanes = as_int(s.image_lanes);
  const Value x = node.operands[0], w = node.operands.back();
  const auto zero_unless = [=](const Expr& inside, const Expr& e) {
    return select(inside, e, make_const(type, 0));
  };
  // An image whose tiles begin at tile * index - low, transformed by `matrix` from both sides.
  const auto transform = [&lowering, type, zero_unless, tile, a, x](
                             const WinogradMatrices::Matrix& matrix, int width, int64_t channels,
                             std::array<int64_t, 2> low, const Index& out, const Index& inner) {
    const Guarded c = guard(simplify(out[0] * width + out[5]), channels);
    const Expr y = out[3] * tile + inner[0] - as_int(low[0]), xx = out[4] * tile + inner[1] - as_int(low[1]);
    return zero_unless(c.inside, padded_at(lowering, x, out[2], y, xx, c.at)) *
           entry(matrix, out[1] / a, inner[0], type) * entry(matrix, out[1] % a, inner[1], type);
  };
  SpatialTerms terms;
  switch (node.op) {
    case Op::WinogradWeights: {
      const bool turned = node.attributes.boolean(Attr::Turned);
      terms.extents = {3, 3};
      terms.element = [=, &lowering, &matrices](const Index& out, const Index& inner) {
        const Guarded o = guard(simplify(out[0] * lanes + out[3]), s.out_channels);
        const Expr element = turned ? lowering.at(x, {out[2], o.at, 2 - inner[0], 2 - inner[1]})
                                    : lowering.at(x, {o.at, out[2], inner[0], inner[1]});
        return zero_unless(o.inside, element) * entry(matrices.g, out[1] / a, inner[0], type) *
               entry(matrices.g, out[1] % a, inner[1], type);
      };
      break;
    }
    case Op::WinogradInput:
      terms.extents = {s.points, s.points};
      terms.element = [=, &matrices](const Index& out, const Index& inner) {
        return transform(matrices.bt, image_lanes, s.in_channels, s.low, out, inner);
      };
      break;
    case Op::WinogradOutputGradient:
      terms.extents = {s.tile, s.tile};
      terms.element = [=, &matrices](const Index& out, const Index& inner) {
        return transform(transposed(matrices.at), lanes, s.out_channels, {0, 0}, out, inner);
      };
      break;
    case Op::WinogradWeightGradient:
      terms.extents = {s.points, s.points};
      terms.element = [=, &lowering, &matrices](const Index& out, const Index& inner) {
        return lowering.at(x, {out[0] / lanes, inner[0] * a + inner[1], out[1], out[0] % lanes}) *
               entry(matrices.g, inner[0], out[2], type) * entry(matrices.g, inner[1], out[3], type);
      };
      break;
    case Op::ConvWinograd:
    case Op::ConvWinogradTransformed: {
      const bool transformed = node.op == Op::ConvWinogradTransformed;
      terms.extents = {s.in_channels, s.points, s.points};
      if (!transformed) terms.extents.insert(terms.extents.end(), {s.points, s.points});
      terms.element = [=, &lowering, &matrices](const Index& out, const Index& inner) {
        const Expr f = inner[1] * a + inner[2], row = out[1] / tile, column = out[2] / tile;
        const Expr input =
            transformed
                ? lowering.at(x, {inner[0] / image_lanes, f, out[0], row, column, inner[0] % image_lanes})
                : padded_at(lowering, x, out[0], row * tile + inner[3] - as_int(s.low[0]),
                            column * tile + inner[4] - as_int(s.low[1]), inner[0]) *
                      entry(matrices.bt, inner[1], inner[3], type) *
                      entry(matrices.bt, inner[2], inner[4], type);
        return input * lowering.at(w, {out[3] / lanes, f, inner[0], out[3] % lanes}) *
               entry(matrices.at, out[1] % tile, inner[1], type) *
               entry(matrices.at, out[2] % tile, inner[2], type);
      };
      break;
    }
    case Op::ConvWinogradWeightGradient:
      terms.extents = {s.batch, s.tiles[0], s.tiles[1]};
      terms.element = [=, &lowering](const Index& out, const Index& inner) {
        return lowering.at(
                   x, {out[2] / image_lanes, out[1], inner[0], inner[1], inner[2], out[2] % image_lanes}) *
               lowering.at(w, {out[0], out[1], inner[0], inner[1], inner[2], out[3]});
      };
      break;
    default:
      NNCC_UNREACHABLE("not a part of Winograd's convolution");
  }
  return terms;
}

}  // namespace nncc
