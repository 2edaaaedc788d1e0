// Reductions over the rows of matrices (gradients of biases and scales, means over images): the sums of all
// columns stay in the first cache while the rows go by, a few at a time. Where columns are few, several rows
// count as one, so that all lanes are used; their sums are put together in the end. So are those of the
// elements of a plane, where rows of planes are short.
#include <algorithm>
#include <numeric>

#include "codegen/reduction.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

// Halide 14 forgets to guard a tuple, an update that reads its own element more than once as those of extrema
// do, and what is made of an element read more than once, where the tail has one lane.
bool has_forgotten_tail(int64_t extent, int V, int64_t values) {
  return values > 1 && extent > V && extent % V == 1;
}

int as_int(int64_t i) { return static_cast<int>(i); }

// [batch, rows, cols] as [batch, steps * ways + left, lanes], and the rows that are left of that. A column's
// sum is that of `parts` lanes.
struct Plan {
  int V = 1;
  int batch = 1, columns = 1, parts = 1, lanes = 1;
  int rows = 1;           // of so many lanes
  int ways = 1;           // rows of one step
  int steps = 1;          // all of them
  int left = 0;           // rows after the last step
  int odd = 0;            // rows of the operand that make no whole row
  int blocks = 1;         // of steps, which several threads share
  int chunk = 1;          // columns that are summed together
  bool segments = false;  // a column's lanes lie side by side
  bool parallel_columns = false;

  Plan(const ReductionShape& shape, int lanes_of_vector, bool large, int64_t sums) : V(lanes_of_vector) {
    segments = shape.kind == ReductionShape::Ends;
    if (segments) {
      columns = as_int(shape.rows), parts = as_int(shape.cols), rows = as_int(shape.batch);
    } else {
      batch = as_int(shape.batch), columns = as_int(shape.cols);
      parts = rows_as_one(shape);
      rows = as_int(shape.rows / parts), odd = as_int(shape.rows % parts);
    }
    lanes = parts * columns;
    ways = rows >= 16 ? 8 : rows >= 8 ? 4 : rows;
    steps = rows / ways, left = rows % ways;
    const bool few = batch < kParallelPieces / 2;
    const int64_t block_bytes = int64_t{lanes} * batch * kParallelPieces * 8 * sums;
    if (large && few && steps >= 4 * kParallelPieces && block_bytes <= kStackBytes / 2)
      blocks = kParallelPieces;
    // The sums fit into the first cache.
    const int most = std::max(as_int((int64_t{16} << 10) / (8 * sums) / (segments ? parts : 1)), 1);
    chunk = columns;
    if (parts == 1 || segments) {
      if (blocks == 1 && large && few) chunk = (columns + kParallelPieces - 1) / kParallelPieces;
      chunk = std::min(chunk, most);
      if (chunk < columns && chunk % V != 0)
        chunk = std::min((chunk + 4 * V - 1) / (4 * V) * (4 * V), columns);
    }
    parallel_columns = large && chunk < columns;
  }

 private:
  // So many that their elements fill vectors, eight of them if there are rows enough.
  int rows_as_one(const ReductionShape& shape) const {
    const int64_t fill = V / std::gcd(shape.cols, int64_t{V});
    if (fill * shape.cols > 64 * V || fill * 4 > shape.rows) return 1;
    int64_t n = fill;
    while (n * shape.cols < 8 * V && 2 * n * 64 <= shape.rows) n *= 2;
    return as_int(n);
  }
};

}  // namespace

Pipeline schedule_column_reduction(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  const std::vector<NodeId> reductions = reductions_of(body);
  const ReductionShape shape = reduction_shape(body, reductions[0]);
  const bool large = estimate_nanoseconds(body) > kParallelNanoseconds;
  const Plan plan(shape, options.lanes(body), large, static_cast<int64_t>(reductions.size()));
  const int V = plan.V, blocks = plan.blocks;

  const ReductionSet set(lowering, reductions);
  const Var l("l"), b("b"), c("c"), n("n"), co("co"), ci("ci");
  const auto elements = [&](const Expr& row, const Expr& lane) {
    return set.elements([&](const Shape& s) {
      if (plan.parts == 1) return block_index(lowering, s, shape, n, row, lane);
      const int per_batch = as_int(shape.whole() / plan.batch);
      return lowering.unflatten(s, Halide::Internal::simplify(n * per_batch + row * plan.lanes + lane));
    });
  };
  const auto lane_of = [&](const Expr& column, const Expr& part) {
    if (plan.parts == 1) return column;
    return plan.segments ? column * plan.parts + part : part * plan.columns + column;
  };
  Func sums("sums"), total("total"), out("out");
  sums(l, b, n) = set.initial();
  const int per_block = (plan.steps + blocks - 1) / blocks;
  RDom r(0, plan.ways, 0, per_block, "r");
  if (per_block * blocks != plan.steps) r.where(b * per_block + r.y < plan.steps);
  sums(l, b, n) =
      set.accumulate(set.call(sums, {l, b, n}), elements((b * per_block + r.y) * plan.ways + r.x, l));
  const RDom rl(0, std::max(plan.left, 1), "rl"), ro(0, std::max(plan.odd, 1), "ro");
  if (plan.left > 0)
    sums(l, 0, n) = set.accumulate(set.call(sums, {l, 0, n}), elements(plan.rows - plan.left + rl, l));

  const RDom rp(0, plan.parts, 0, blocks, "rp");
  const bool has_total = plan.parts > 1 || blocks > 1 || plan.odd > 0;
  if (has_total) {
    total(c, n) = set.initial();
    total(c, n) = set.accumulate(set.call(total, {c, n}), set.call(sums, {lane_of(c, rp.x), rp.y, n}));
    if (plan.odd > 0)
      total(c, n) = set.accumulate(set.call(total, {c, n}), set.elements([&](const Shape& s) {
        return block_index(lowering, s, shape, n, as_int(shape.rows) - plan.odd + ro, c);
      }));
  }
  for (size_t k = 0; k < reductions.size(); ++k) {
    const Value v{reductions[k], 0};
    // What is made of the sums goes element by element: it is only ever asked for the element at hand.
    lowering.provide(v, [&, k](const Index&) {
      return (has_total ? set.call(total, {c, n}) : set.call(sums, {c, 0, n}))[static_cast<int>(k)];
    });
  }
  std::vector<Expr> values;
  Pipeline pipeline;
  for (size_t i = 0; i < body.results.size(); ++i) {
    const Value v = body.results[i].value;
    values.push_back(lowering.stored_at(v, matrix_index(lowering, body.type(v).shape, plan.batch, n, c)));
    pipeline.order.push_back(static_cast<int>(i));
  }
  if (values.size() == 1)
    out(c, n) = values[0];
  else
    out(c, n) = Halide::Tuple(values);

  // What is made anew for some columns of one matrix.
  const bool reads_once = reductions.size() == 1 && body[reductions[0]].op == Op::ReduceSum;
  const int64_t sums_at_once = reads_once ? 1 : 2;
  const auto vectorized = [=](auto stage, Var x, int extent, int64_t values_at_once) {
    if (V > 1 && extent > 1 && !has_forgotten_tail(extent, V, values_at_once))
      stage.vectorize(x, std::min(V, extent), TailStrategy::GuardWithIf);
  };
  const int lanes = plan.chunk * (plan.segments ? plan.parts : plan.lanes / plan.columns);
  Var at = n;
  if (plan.chunk < plan.columns) {
    out.split(c, co, ci, plan.chunk, TailStrategy::ShiftInwards);
    at = co;
    if (plan.parallel_columns && options.parallel) out.parallel(co);
  }
  if (large && options.parallel && plan.batch > 1 && blocks == 1) out.parallel(n);
  const bool is_sum_alone = values.size() == 1 && body.results[0].value.node == reductions[0];
  vectorized(out, plan.chunk < plan.columns ? ci : c, plan.chunk, is_sum_alone ? 1 : 2);
  if (has_total) {
    total.compute_at(out, at).bound_extent(c, plan.chunk);
    vectorized(total, c, plan.chunk, sums_at_once);
    total.update(0).reorder(c, rp.x, rp.y);
    vectorized(total.update(0), c, plan.chunk, sums_at_once);
    if (plan.odd > 0) {
      total.update(1).reorder(c, ro);
      vectorized(total.update(1), c, plan.chunk, sums_at_once);
    }
  }
  if (blocks > 1) {
    sums.compute_root().bound(l, 0, plan.lanes).bound(b, 0, blocks).bound(n, 0, plan.batch);
  } else {
    sums.compute_at(out, at).bound_extent(l, lanes);
  }
  vectorized(sums, l, lanes, sums_at_once);
  sums.update(0).reorder(r.x, l, r.y).unroll(r.x);
  vectorized(sums.update(0), l, lanes, sums_at_once);
  if (blocks > 1 && options.parallel) sums.update(0).parallel(b);
  if (plan.left > 0) {
    sums.update(1).reorder(rl, l).unroll(rl);
    vectorized(sums.update(1), l, lanes, sums_at_once);
  }
  fix_output(out, {shape.kind == ReductionShape::Ends ? 1 : shape.batch, plan.columns});
  pipeline.outputs = {out};
  return pipeline;
}

}  // namespace nncc
