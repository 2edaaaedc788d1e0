// Values added to the rows of a tensor that an index names: a row's elements in the lanes and among the
// threads, the values one after the other, so that the order of every sum is that of the index. Where the
// result lies on the tensor (ir/scatter.h), other rows are not touched.
#include <algorithm>

#include "codegen/schedule.h"
#include "ir/diagnostic.h"
#include "ir/scatter.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

Pipeline schedule_scatter(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  NNCC_CHECK(body.results.size() == 1, "a scatter_add with other results");
  const Node& node = body[body.results[0].value.node];
  NNCC_CHECK(node.op == Op::ScatterAdd, "a scatter_add that is not the result");
  const TensorType& whole = node.types[0];
  const TensorType& index = body.type(node.operands[1]);
  const int64_t axis = node.attributes.integer(Attr::Axis);
  int64_t before = 1, after = 1;
  for (int64_t i = 0; i < axis; ++i) before *= whole.shape[i];
  for (int64_t i = axis + 1; i < whole.rank(); ++i) after *= whole.shape[i];
  const int rows = static_cast<int>(whole.shape[axis]), count = static_cast<int>(index.num_elements()),
            columns = static_cast<int>(after);

  const auto at = [&](int operand, const Expr& outer, const Expr& row, const Expr& column, int extent) {
    return lowering.at(node.operands[operand], {(outer * extent + row) * columns + column});
  };
  const Var c("c"), row("row"), outer("outer");
  Func sums("sums"), out("out");
  // A loop of one step would leave its variable out of every index.
  const bool is_loop = count > 1;
  const RDom r(0, count, "r");
  const Expr step = is_loop ? Expr(r) : Expr(0);
  const Expr chosen = inside_extent(lowering.at(node.operands[1], {step}), rows);
  // 16-bit floats are summed, as everywhere, in f32.
  const bool is_stored_narrow = storage_type(whole.dtype) != compute_type(whole.dtype);
  const bool in_place = accumulated_argument(body).has_value();
  Func& target = is_stored_narrow ? sums : out;
  target(c, row, outer) = in_place ? Halide::undef(storage_type(whole.dtype)) : at(0, outer, row, c, rows);
  target(c, chosen, outer) += at(2, outer, step, c, count);
  if (is_stored_narrow) out(c, row, outer) = to_storage(sums(c, row, outer), whole.dtype);

  const int lanes = options.lanes(body);
  const bool in_lanes = lanes > 1 && columns >= lanes;
  const Var block("block"), lane("lane");
  const double nanoseconds = in_place ? static_cast<double>(body.type(node.operands[2]).byte_size()) * 0.1
                                      : estimate_nanoseconds(body);
  const bool large = options.parallel && nanoseconds > kParallelNanoseconds;
  // Of one row, so many columns to a piece that both threads have some.
  const int piece = in_lanes && large ? std::max(lanes, columns / kParallelPieces / lanes * lanes) : columns;
  target.bound(c, 0, columns).bound(row, 0, rows).bound(outer, 0, static_cast<int>(before));
  if (is_stored_narrow) target.compute_root();
  if (in_lanes) {
    const Var first("first");
    const int vectors = (piece + lanes - 1) / lanes;
    if (!in_place) target.vectorize(c, lanes, TailStrategy::GuardWithIf);
    target.update()
        .split(c, block, c, piece, TailStrategy::GuardWithIf)
        .split(c, first, lane, lanes, TailStrategy::GuardWithIf)
        .vectorize(lane);
    if (is_loop) target.update().reorder(lane, first, r, block, outer);
    if (vectors <= 8) target.update().unroll(first);
  } else if (is_loop) {
    target.update().reorder(c, r, outer);
  }
  if (large) {
    if (!in_place) target.parallel(rows > 1 ? row : outer);
    if (in_lanes && columns > piece)
      target.update().parallel(block);
    else if (before > 1)
      target.update().parallel(outer);
  }
  fix_output(out, {before, rows, columns});
  return {{out}, {0}};
}

}  // namespace nncc
