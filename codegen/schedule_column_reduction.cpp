// Reductions over the rows of a matrix (gradients of biases and scales): a tile of columns stays in registers
// while the rows go by.
#include <algorithm>

#include "codegen/reduction.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

Pipeline schedule_column_reduction(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  const std::vector<NodeId> reductions = reductions_of(body);
  const ReductionShape shape = reduction_shape(body, reductions[0]);
  const int rows = static_cast<int>(shape.rows), cols = static_cast<int>(shape.cols);
  const int V = std::min(options.lanes(body), cols);
  const int tile = cols >= 4 * V ? 4 * V : cols >= 2 * V ? 2 * V : V;
  const int ways = rows >= 16 ? std::max(2, 8 * V / tile / 2) : 1;  // rows in flight
  // Long columns are cut into blocks of rows, which several threads share.
  const bool large = estimate_nanoseconds(body) > kParallelNanoseconds;
  const int64_t block_bytes = int64_t{cols} * kParallelPieces * 8 * static_cast<int64_t>(reductions.size());
  const bool many_tiles = cols / tile >= kParallelPieces;
  const int blocks =
      large && !many_tiles && rows >= 8 * ways * kParallelPieces && block_bytes <= kStackBytes / 2
          ? kParallelPieces
          : 1;
  const int steps = rows / (ways * blocks), rest = rows - steps * ways * blocks;

  const ReductionSet set(lowering, reductions);
  const Var c("c"), j("j"), b("b"), co("co"), ci("ci");
  const auto elements = [&](const Expr& row) {
    return set.elements([&](const Shape& s) { return matrix_index(lowering, s, shape.rows, row, c); });
  };
  Func sums("sums"), block("block"), total("total"), out("out");
  sums(c, j, b) = set.initial();
  const RDom r(0, steps, "r"), rr(0, std::max(rest, 1), "rr"), rb(0, blocks, "rb");
  sums(c, j, b) = set.accumulate(set.call(sums, {c, j, b}), elements((b * steps + r) * ways + j));
  if (rest > 0 && blocks == 1)
    sums(c, 0, 0) = set.accumulate(set.call(sums, {c, 0, 0}), elements(rows - rest + rr));
  Halide::Tuple folded = set.call(sums, {c, 0, b});
  for (int way = 1; way < ways; ++way) folded = set.accumulate(folded, set.call(sums, {c, way, b}));
  block(c, b) = folded;
  if (blocks > 1) {
    total(c) = set.initial();
    total(c) = set.accumulate(set.call(total, {c}), set.call(block, {c, rb}));
    if (rest > 0) total(c) = set.accumulate(set.call(total, {c}), elements(rows - rest + rr));
  }
  for (size_t k = 0; k < reductions.size(); ++k) {
    const Value v{reductions[k], 0};
    lowering.provide(v, [&, k, v, blocks](const Index& index) {
      const Expr column = lowering.flatten(body.type(v).shape, index);
      return blocks > 1 ? set.call(total, {column})[static_cast<int>(k)]
                        : set.call(block, {column, 0})[static_cast<int>(k)];
    });
  }
  std::vector<Expr> values;
  Pipeline pipeline;
  for (size_t i = 0; i < body.results.size(); ++i) {
    const Value v = body.results[i].value;
    values.push_back(lowering.stored_at(v, vector_index(lowering, body.type(v).shape, c)));
    pipeline.order.push_back(static_cast<int>(i));
  }
  if (values.size() == 1)
    out(c) = values[0];
  else
    out(c) = Halide::Tuple(values);

  const TailStrategy tail = cols % tile ? TailStrategy::ShiftInwards : TailStrategy::RoundUp;
  const auto vectorized = [&](auto stage, Var x) {
    if (V > 1)
      stage.vectorize(x, V).unroll(x);
    else
      stage.unroll(x);
  };
  out.split(c, co, ci, tile, tail);
  vectorized(out, ci);
  Func consumer = out;
  if (blocks > 1) {
    block.compute_root().split(c, co, ci, tile, tail);
    vectorized(block, ci);
    if (options.parallel) block.parallel(b);
    consumer = block;
    total.compute_at(out, co).bound_extent(c, tile);
    vectorized(total, c);
    vectorized(total.update(0).reorder(c, rb), c);
    if (rest > 1) total.update(1).reorder(c, rr);
    if (rest > 0) vectorized(total.update(1), c);
  } else if (large && options.parallel && cols / tile > 1) {
    out.parallel(co);
  }
  sums.compute_at(consumer, co).bound_extent(c, tile).bound_extent(j, ways).unroll(j);
  vectorized(sums, c);
  if (steps > 1) sums.update(0).reorder(c, j, r);
  sums.update(0).unroll(j);
  vectorized(sums.update(0), c);
  if (rest > 0 && blocks == 1) {
    if (rest > 1) sums.update(1).reorder(c, rr);
    vectorized(sums.update(1), c);
  }
  fix_output(out, {shape.cols});
  pipeline.outputs = {out};
  return pipeline;
}

}  // namespace nncc
