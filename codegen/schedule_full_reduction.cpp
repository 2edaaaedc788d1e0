// Reductions of everything to scalars: all of them in one pass, in lanes; then the lanes.
#include <algorithm>

#include "codegen/reduction.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Var;

Pipeline schedule_full_reduction(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  const std::vector<NodeId> reductions = reductions_of(body);
  const int count = static_cast<int>(reduction_shape(body, reductions[0]).cols);
  const int V = std::min(options.lanes(body), count), vectors = count / V, tail = count % V;
  const int ways = vectors >= 8 ? 4 : 1;  // vectors in flight
  // The pieces of a long sum are the same whether threads share them or not.
  const bool large = estimate_nanoseconds(body) > kParallelNanoseconds;
  const int blocks = large ? kParallelPieces : 1;
  const int steps = vectors / (ways * blocks), rest = vectors - steps * ways * blocks;

  const ReductionSet set(lowering, reductions);
  const Var l("l"), j("j"), b("b");
  const auto elements = [&](const Expr& flat) {
    return set.elements([&](const Shape& s) { return s.empty() ? Index{} : Index{flat}; });
  };
  Func sums("sums"), lanes("lanes"), out("out");
  const RDom r(0, std::max(steps, 1), "r"), rv(0, std::max(rest, 1), "rv"), rt(0, std::max(tail, 1), "rt");
  const RDom rj(0, ways, 0, blocks, "rj");
  sums(l, j, b) = set.initial();
  int stage = 0;
  if (steps > 0) {
    sums(l, j, b) = set.accumulate(set.call(sums, {l, j, b}), elements(((b * steps + r) * ways + j) * V + l));
    ++stage;
  }
  if (rest > 0)
    sums(l, 0, 0) = set.accumulate(set.call(sums, {l, 0, 0}), elements((vectors - rest + rv) * V + l));
  if (tail > 0) sums(rt, 0, 0) = set.accumulate(set.call(sums, {rt, 0, 0}), elements(vectors * V + rt));
  lanes(l) = set.initial();
  lanes(l) = set.accumulate(set.call(lanes, {l}), set.call(sums, {l, rj.x, rj.y}));

  sums.compute_root().bound(l, 0, V).bound(j, 0, ways).bound(b, 0, blocks).unroll(j);
  if (V > 1) sums.vectorize(l);
  if (steps > 0) {
    if (steps > 1) sums.update(0).reorder(l, j, r, b);
    sums.update(0).unroll(j);
    if (V > 1) sums.update(0).vectorize(l);
    if (large && options.parallel) sums.update(0).parallel(b);
  }
  if (rest > 0) {
    if (V > 1) sums.update(stage).vectorize(l);
    ++stage;
  }
  if (tail > 1) sums.update(stage).vectorize(rt);
  lanes.compute_root().bound(l, 0, V);
  if (V > 1) lanes.vectorize(l), lanes.update().vectorize(l);

  for (size_t k = 0; k < reductions.size(); ++k) {
    const Node& node = body[reductions[k]];
    const Halide::Type type = compute_type(node.types[0].dtype);
    const LaneReduction total =
        reduce_lanes("total" + std::to_string(k), node.op, V, type, {},
                     [&](const Expr& lane) { return set.call(lanes, {lane})[static_cast<int>(k)]; });
    for (Func f : total.stages) f.compute_root();
    lowering.provide({reductions[k], 0}, [value = total.value](const Index&) { return value({}); });
  }
  std::vector<Expr> values;
  Pipeline pipeline;
  for (size_t i = 0; i < body.results.size(); ++i) {
    const Value v = body.results[i].value;
    values.push_back(lowering.stored_at(v, Index(body.type(v).shape.size(), Expr(0))));
    pipeline.order.push_back(static_cast<int>(i));
  }
  if (values.size() == 1)
    out() = values[0];
  else
    out() = Halide::Tuple(values);
  fix_output(out, {});
  pipeline.outputs = {out};
  return pipeline;
}

}  // namespace nncc
