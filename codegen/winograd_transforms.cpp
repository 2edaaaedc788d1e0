// Transforms of Winograd's convolutions as kernels of their own: one matrix from each side, first along the
// rows of a tile, then along its columns, each value in the lanes of channels.
#include <numeric>

#include "codegen/winograd.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::TailStrategy;
using Halide::Var;

namespace {

int as_int(int64_t i) { return static_cast<int>(i); }

class Transform {
 public:
  Transform(Lowering& lowering, const ScheduleOptions& options, NodeId id)
      : lowering_(lowering),
        options_(options),
        node_(lowering.body()[id]),
        shape_(winograd_shape(lowering.body(), node_)),
        matrices_(winograd_matrices(shape_.tile)),
        type_(compute_type(node_.types[0].dtype)),
        parallel_(options.parallel && estimate_nanoseconds(lowering.body()) > kParallelNanoseconds) {}

  // The sums of the node, with the loops of its result.
  Func build() {
    switch (node_.op) {
      case Op::WinogradWeights:
        weights();
        break;
      case Op::WinogradInput:
        image(matrices_.bt, shape_.image_lanes, shape_.in_channels, shape_.low);
        break;
      case Op::WinogradOutputGradient:
        image(transposed(matrices_.at), shape_.lanes, shape_.out_channels, {0, 0});
        break;
      case Op::WinogradWeightGradient:
        weight_gradient();
        break;
      default:
        NNCC_UNREACHABLE("not a transform of Winograd's convolution");
    }
    fix_output(out_, node_.types[0].shape);
    return out_;
  }

 private:
  int vector(int64_t lanes) const { return as_int(std::min<int64_t>(options_.lanes(type_), lanes)); }
  // Input channels whose weights are transformed together: none that is not there.
  int channels() const { return as_int(std::gcd<int64_t>(shape_.in_channels, 8)); }
  Expr zero() const { return Halide::Internal::make_zero(type_); }

  void weights() {
    const int a = as_int(shape_.points), L = as_int(shape_.lanes), V = vector(L);
    const bool turned = node_.attributes.boolean(Attr::Turned);
    Var c("c"), p("p"), r("r"), q("q"), lo("lo"), li("li"), co("co"), ci("ci");
    Func w("w"), rows("rows"), u("u");
    const Guarded o = guard(Halide::Internal::simplify(p * L + l_), shape_.out_channels);
    Expr element = turned ? lowering_.at(node_.operands[0], {c, o.at, 2 - r, 2 - q})
                          : lowering_.at(node_.operands[0], {o.at, c, r, q});
    if (shape_.out_channels % L) element = select(o.inside, element, zero());
    w(l_, c, p, r, q) = element;
    rows(l_, c, p, i_, q) = apply(matrices_.g, i_, [&](int k) { return Expr(w(l_, c, p, k, q)); });
    u(l_, c, f_, p) = apply(matrices_.g, f_ % a, [&](int k) { return Expr(rows(l_, c, p, f_ / a, k)); });
    out_(l_, c, f_, p) = u(l_, c, f_, p);
    // The points lie far apart: several channels of one are written at a time.
    out_.split(l_, lo, li, V, L % V ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .split(c, co, ci, channels(), TailStrategy::RoundUp)
        .reorder(li, ci, f_, co, lo, p)
        .vectorize(li);
    if (parallel_) out_.parallel(p);
    u.compute_at(out_, co).bound_extent(l_, V).bound_extent(c, channels());
    u.split(f_, i_, j_, a, TailStrategy::RoundUp)
        .reorder(l_, j_, i_, c, p)
        .vectorize(l_)
        .unroll(j_)
        .unroll(i_);
    w.compute_at(u, c).bound_extent(l_, V).vectorize(l_).unroll(r).unroll(q);
    rows.compute_at(u, c).bound_extent(l_, V).vectorize(l_).unroll(i_).unroll(q);
  }

  void image(const WinogradMatrices::Matrix& matrix, int64_t lanes, int64_t channels,
             std::array<int64_t, 2> low) {
    const int a = as_int(shape_.points), tile = as_int(shape_.tile), L = as_int(lanes), V = vector(L);
    Var tx("tx"), ty("ty"), n("n"), b("b"), x("x"), y("y"), q("q"), lo("lo");
    Func source("source"), rows("rows");
    const Guarded c = guard(Halide::Internal::simplify(b * L + l_), channels);
    Expr element = padded_at(lowering_, node_.operands[0], n, y - as_int(low[0]), x - as_int(low[1]),
                             channels % L ? c.at : Expr(b * L + l_));
    if (channels % L) element = select(c.inside, element, zero());
    source(l_, x, y, n, b) = element;
    rows(l_, i_, q, tx, ty, n, b) =
        apply(matrix, i_, [&](int k) { return Expr(source(l_, tx * tile + q, ty * tile + k, n, b)); });
    out_(l_, tx, ty, n, f_, b) =
        apply(matrix, f_ % a, [&](int k) { return Expr(rows(l_, f_ / a, k, tx, ty, n, b)); });
    out_.split(l_, lo, l_, V, L % V ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .split(f_, i_, j_, a, TailStrategy::RoundUp)
        .reorder(l_, j_, i_, tx, lo, ty, n, b)
        .vectorize(l_)
        .unroll(j_)
        .unroll(i_);
    if (parallel_) out_.fuse(n, b, b).parallel(b);
    source.compute_at(out_, lo).bound_extent(l_, V).vectorize(l_);
    rows.compute_at(out_, tx).bound_extent(l_, V).vectorize(l_).unroll(i_).unroll(q);
  }

  void weight_gradient() {
    const int a = as_int(shape_.points), L = as_int(shape_.lanes), V = vector(L);
    Var c("c"), o("o"), r("r"), q("q"), oo("oo"), oi("oi"), co("co"), ci("ci");
    Func rows("rows"), u("u");
    const WinogradMatrices::Matrix matrix = transposed(matrices_.g);
    const Expr panel = o / L, lane = o % L;
    u(o, c, f_) = lowering_.at(node_.operands[0], {panel, f_, c, lane});
    rows(o, c, r, j_) = apply(matrix, r, [&](int k) { return Expr(u(o, c, k * a + j_)); });
    out_(q, r, c, o) = apply(matrix, q, [&](int k) { return Expr(rows(o, c, r, k)); });
    const bool guarded = shape_.out_channels % V != 0;
    out_.bound(q, 0, 3).bound(r, 0, 3);
    // The points lie far apart: several channels of one are read at a time.
    out_.split(o, oo, oi, V, guarded ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .split(c, co, ci, channels(), TailStrategy::RoundUp)
        .reorder(oi, q, r, ci, co, oo)
        .vectorize(oi)
        .unroll(q)
        .unroll(r);
    if (parallel_) out_.parallel(oo);
    u.compute_at(out_, co).bound_extent(o, V).bound_extent(c, channels()).vectorize(o);
    rows.compute_at(out_, ci).bound_extent(o, V).vectorize(o).unroll(r).unroll(j_);
  }

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Node& node_;
  const WinogradShape shape_;
  const WinogradMatrices& matrices_;
  const Halide::Type type_;
  const bool parallel_;
  Var l_{"l"}, f_{"f"}, i_{"i"}, j_{"j"};
  Func out_{"out"};
};

}  // namespace

Pipeline schedule_winograd_transform(Lowering& lowering, const ScheduleOptions& options, NodeId id) {
  Pipeline pipeline;
  pipeline.outputs = {Transform(lowering, options, id).build()};
  pipeline.order = {0};
  return pipeline;
}

}  // namespace nncc
