// The products of a gradient by weights in Winograd's domain: for each point the outer products of
// transformed inputs and transformed gradients, summed over all tiles of all images.
#include <algorithm>

#include "codegen/winograd.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

int as_int(int64_t i) { return static_cast<int>(i); }

// What is read for one piece of the sums should stay in the fast caches while all channels read it.
constexpr int64_t kMostTiles = 768;

}  // namespace

Pipeline schedule_winograd_weight_gradient(Lowering& lowering, const ScheduleOptions& options, NodeId id) {
  const Graph& body = lowering.body();
  const Node& node = body[id];
  const WinogradShape shape = winograd_shape(body, node);
  const Halide::Type type = compute_type(node.types[0].dtype);
  const int L = as_int(shape.lanes), W = as_int(shape.image_lanes), C = as_int(shape.in_channels),
            tiles = as_int(shape.num_tiles()), points = as_int(shape.points * shape.points),
            V = as_int(std::min<int64_t>(options.lanes(type), L));
  // A register tile: the lanes of a panel by so many input channels that lie side by side.
  const int vectors = (L + V - 1) / V, sums = options.vector_registers < 32 ? 10 : 16;
  int channels = std::max(1, std::min(W, sums / vectors));
  while (W % channels) --channels;
  const int pieces = as_int((tiles + kMostTiles - 1) / kMostTiles), piece = (tiles + pieces - 1) / pieces;

  Var l("l"), c("c"), f("f"), p("p"), k("k"), co("co"), ci("ci");
  Func part("part"), sum("sum"), out("out");
  RDom r(0, piece, "r");
  const Expr tile = pieces == 1 ? Expr(r) : k * piece + r;
  if (tiles % piece) r.where(tile < tiles);
  const auto flat = [&](const Expr& block, const Expr& width, const Expr& lane) {
    return Halide::Internal::simplify(((block * points + f) * tiles + tile) * width + lane);
  };
  part(l, c, f, p, k) = Halide::Internal::make_zero(type);
  part(l, c, f, p, k) +=
      lowering.at(node.operands[1], {flat(p, L, l)}) * lowering.at(node.operands[0], {flat(c / W, W, c % W)});
  Expr total;
  if (pieces == 1) {
    total = part(l, c, f, p, 0);
  } else {
    const RDom rk(0, pieces, "rk");
    sum(l, c, f, p) = Halide::Internal::make_zero(type);
    sum(l, c, f, p) += part(l, c, f, p, rk);
    total = sum(l, c, f, p);
    sum.compute_at(out, f).bound_extent(l, L).vectorize(l, V, TailStrategy::RoundUp);
    sum.update()
        .split(c, co, ci, channels, C % channels ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .reorder(l, ci, co, rk)
        .vectorize(l, V, TailStrategy::RoundUp)
        .unroll(l)
        .unroll(ci);
  }
  lowering.provide({id, 0}, [total](const Index&) { return total; });
  std::vector<Expr> values;
  for (const Graph::Result& result : body.results)
    values.push_back(lowering.stored_at(
        result.value, lowering.reshape(node.types[0].shape, body.type(result.value).shape, {p, f, c, l})));
  if (values.size() == 1)
    out(l, c, f, p) = values[0];
  else
    out(l, c, f, p) = Halide::Tuple(values);
  if (pieces == 1) {
    out.split(c, co, ci, channels, C % channels ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .reorder(l, ci, co, f, p)
        .unroll(ci);
    part.compute_at(out, co);
  } else {
    part.compute_at(sum, co);
  }
  out.vectorize(l, V, L % V ? TailStrategy::GuardWithIf : TailStrategy::RoundUp).unroll(l);
  part.bound_extent(c, channels).bound_extent(k, 1);
  part.vectorize(l, V, TailStrategy::RoundUp).unroll(l).unroll(c);
  if (piece > 1) part.update().reorder(l, c, r);
  part.update().vectorize(l, V, TailStrategy::RoundUp).unroll(l).unroll(c);
  if (options.parallel && estimate_nanoseconds(body) > kParallelNanoseconds) out.fuse(f, p, f).parallel(f);
  fix_output(out, node.types[0].shape);
  Pipeline pipeline;
  pipeline.outputs = {out};
  for (size_t i = 0; i < body.results.size(); ++i) pipeline.order.push_back(static_cast<int>(i));
  return pipeline;
}

}  // namespace nncc
