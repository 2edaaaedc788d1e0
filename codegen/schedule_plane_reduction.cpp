// Reductions of [batch, rows, cols] to [rows] (statistics of images with channels first): for each row the
// lanes of its elements in every plane, then over the lanes.
#include <algorithm>

#include "codegen/reduction.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

Pipeline schedule_plane_reduction(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  const std::vector<NodeId> reductions = reductions_of(body);
  const ReductionShape shape = reduction_shape(body, reductions[0]);
  const int planes = static_cast<int>(shape.batch), rows = static_cast<int>(shape.rows),
            cols = static_cast<int>(shape.cols);
  const int V = std::min(options.lanes(body), cols), vectors = cols / V, tail = cols % V;
  const int ways = std::min(vectors, 4);  // vectors in flight
  const int steps = vectors / ways, rest = vectors % ways;
  // Where rows are few, several threads share the planes, in pieces that are always the same.
  const bool large = estimate_nanoseconds(body) > kParallelNanoseconds;
  const int blocks = large && rows < kParallelPieces && planes > 1 ? std::min(planes, kParallelPieces) : 1;
  const int per_block = (planes + blocks - 1) / blocks;

  const ReductionSet set(lowering, reductions);
  const Var l("l"), j("j"), b("b"), row("row"), piece("piece");
  Func sums("sums"), lanes("lanes"), out("out");
  sums(l, j, b, row) = set.initial();
  // Elements `col` of the planes of a block; the domain's last dimension counts those.
  const auto add = [&](const Expr& lane, const Expr& way, RDom& r, const Expr& plane, const Expr& col) {
    if (per_block * blocks != planes) r.where(plane < planes);
    sums(lane, way, b, row) = set.accumulate(
        set.call(sums, {lane, way, b, row}),
        set.elements([&](const Shape& s) { return block_index(lowering, s, shape, plane, row, col); }));
  };
  RDom rs(0, steps, 0, per_block, "rs"), rv(0, std::max(rest, 1), 0, per_block, "rv"),
      rt(0, std::max(tail, 1), 0, per_block, "rt");
  add(l, j, rs, b * per_block + rs.y, (rs.x * ways + j) * V + l);
  if (rest > 0) add(l, 0, rv, b * per_block + rv.y, (steps * ways + rv.x) * V + l);
  if (tail > 0) add(rt.x, 0, rt, b * per_block + rt.y, vectors * V + rt.x);
  const RDom rj(0, ways, 0, blocks, "rj");
  lanes(l, row) = set.initial();
  lanes(l, row) = set.accumulate(set.call(lanes, {l, row}), set.call(sums, {l, rj.x, rj.y, row}));

  if (blocks > 1)
    sums.compute_root().bound(row, 0, rows);
  else
    sums.compute_at(out, row);
  sums.bound(l, 0, V).bound(j, 0, ways).bound(b, 0, blocks).unroll(j);
  sums.update(0).reorder(l, j, rs.x, rs.y).unroll(j);
  int stage = 1;
  if (V > 1) sums.vectorize(l), sums.update(0).vectorize(l);
  if (rest > 0) {
    sums.update(stage).reorder(l, rv.x, rv.y).unroll(rv.x);
    if (V > 1) sums.update(stage).vectorize(l);
    ++stage;
  }
  if (tail > 1) sums.update(stage).vectorize(rt.x);
  if (blocks > 1) {
    const int stages = 1 + (rest > 0) + (tail > 0);
    for (int s = 0; s < stages; ++s)
      if (options.parallel) sums.update(s).parallel(b);
  }
  lanes.compute_at(out, row).bound(l, 0, V);
  if (V > 1) lanes.vectorize(l), lanes.update().vectorize(l);
  for (size_t k = 0; k < reductions.size(); ++k) {
    const Node& node = body[reductions[k]];
    const LaneReduction total = reduce_lanes("total" + std::to_string(k), node.op, V,
                                             compute_type(node.types[0].dtype), {row}, [&](const Expr& lane) {
                                               return set.call(lanes, {lane, row})[static_cast<int>(k)];
                                             });
    for (Func f : total.stages) f.compute_at(out, row);
    const Value v{reductions[k], 0};
    lowering.provide(v, [&, v, value = total.value](const Index& index) {
      return value({lowering.flatten(body.type(v).shape, index)});
    });
  }
  std::vector<Expr> values;
  Pipeline pipeline;
  for (size_t i = 0; i < body.results.size(); ++i) {
    const Value v = body.results[i].value;
    values.push_back(lowering.stored_at(v, vector_index(lowering, body.type(v).shape, row)));
    pipeline.order.push_back(static_cast<int>(i));
  }
  if (values.size() == 1)
    out(row) = values[0];
  else
    out(row) = Halide::Tuple(values);
  if (large && options.parallel && blocks == 1) {
    const int step = (rows + 4 * kParallelPieces - 1) / (4 * kParallelPieces);
    out.split(row, piece, row, step, rows % step ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .parallel(piece);
  }
  fix_output(out, {rows});
  pipeline.outputs = {out};
  return pipeline;
}

}  // namespace nncc
