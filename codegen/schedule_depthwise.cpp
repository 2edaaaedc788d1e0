// Depthwise convolutions and their gradients. A block of rows of one or a few vectors of channels is copied
// out of the image into a scratch buffer with zeros around it: there pixels lie together, which those of many
// channels do not, and no tap needs a test. Tiles of pixels (or, by weights, of taps) then stay in registers
// for all taps.
#include <algorithm>

#include "codegen/schedule.h"
#include "ir/convolution.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

int ceil_div(int a, int b) { return (a + b - 1) / b; }
// Rounded down; b > 0.
int floor_div(int a, int b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

int divisor_up_to(int n, int most) {
  int d = std::clamp(most, 1, n);
  while (n % d) --d;
  return d;
}

TailStrategy inwards(int extent, int factor) {
  return extent % factor ? TailStrategy::ShiftInwards : TailStrategy::RoundUp;
}

// Of the scratch buffer.
constexpr int kScratchBytes = 40 << 10;
constexpr int kFarBytes = 1 << 10;
// Multiply-adds in one straight piece of code.
constexpr int kMostUnrolled = 160;

// One axis of the image.
struct Axis {
  int stride = 1, dilation = 1, low = 0, taps = 1;
  int source = 1, result = 1;  // extents
  bool transposed = false;     // the gradient by data

  // The source element for element `at` of the result (a window, or an element of the image) and a tap.
  Expr element(const Expr& at, const Expr& tap) const {
    if (!transposed) return Halide::Internal::simplify(at * stride + tap * dilation - low);
    return Halide::Internal::simplify((at + low - tap * dilation) / stride);
  }
  // Whether there is one at all, apart from the borders.
  Expr exists(const Expr& at, const Expr& tap) const {
    if (!transposed || stride == 1) return Halide::Internal::const_true();
    return Halide::Internal::simplify((at + low - tap * dilation) % stride == 0);
  }
  // What `count` elements of the result from `first` on read.
  int first_of(int first) const {
    return transposed ? floor_div(first + low - (taps - 1) * dilation, stride) : first * stride - low;
  }
  int extent_of(int count) const {
    if (!transposed) return (count - 1) * stride + (taps - 1) * dilation + 1;
    return ceil_div(count + (taps - 1) * dilation, stride) + 1;
  }
};

class Schedule {
 public:
  Schedule(Lowering& lowering, const ScheduleOptions& options)
      : lowering_(lowering), options_(options), body_(lowering.body()) {
    for (NodeId id : body_.nodes())
      if (is_convolution(body_[id].op)) node_ = id;
    const Convolution conv = convolution(body_, body_[node_]);
    kind_ = conv.kind;
    batch_ = static_cast<int>(conv.batch);
    channels_ = static_cast<int>(conv.in_channels);
    const auto axis = [&](size_t i) {
      const auto number = [i](const std::vector<int64_t>& list) { return static_cast<int>(list[i]); };
      const bool back = conv.kind == ConvKind::InputGradient;
      return Axis{number(conv.strides),
                  number(conv.dilation),
                  number(conv.low),
                  number(conv.window),
                  number(back ? conv.output : conv.input),
                  number(back ? conv.input : conv.output),
                  back};
    };
    y_axis_ = axis(0);
    x_axis_ = axis(1);
    type_ = compute_type(body_[node_].types[0].dtype);
    lanes_ = std::min(options.lanes(type_), channels_);
    // Where pixels lie far apart, neighbouring vectors share what the processor fetches ahead.
    const bool far = channels_ * type_.bytes() >= kFarBytes;
    block_ = lanes_ * (far ? divisor_up_to(ceil_div(channels_, lanes_), 4) : 1);
    if (block_ > channels_) block_ = lanes_;
    // As many rows as the scratch buffer holds, and blocks of equal height.
    const int row_bytes = block_ * type_.bytes() * x_axis_.extent_of(x_axis_.result);
    int rows = y_axis_.result;
    while (rows > 1 && y_axis_.extent_of(rows) * row_bytes > kScratchBytes) --rows;
    rows_ = ceil_div(y_axis_.result, ceil_div(y_axis_.result, rows));
  }

  Pipeline build() {
    kind_ == ConvKind::WeightGradient ? by_weights() : pixels();
    fix_output(out_, body_[node_].types[0].shape);
    Pipeline pipeline;
    pipeline.outputs = {out_};
    for (size_t i = 0; i < body_.results.size(); ++i) pipeline.order.push_back(static_cast<int>(i));
    return pipeline;
  }

 private:
  void pixels();
  void by_weights();
  void define_padded();
  void schedule_padded();
  void set_out(const std::vector<Var>& args, const Index& index) {
    const std::vector<Expr> values = results_at(lowering_, {node_, 0}, index);
    if (values.size() == 1)
      out_(args) = values[0];
    else
      out_(args) = Halide::Tuple(values);
  }
  Expr operand(int i, const Index& index) { return lowering_.at(body_[node_].operands[i], index); }
  Expr zero() const { return Halide::Internal::make_zero(type_); }
  bool is_large() const { return options_.parallel && estimate_nanoseconds(body_) > kParallelNanoseconds; }
  template <typename Stage>
  void vectorized(Stage stage) {
    if (lanes_ > 1) stage.vectorize(c_, lanes_);
  }

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Graph& body_;
  NodeId node_;
  ConvKind kind_ = ConvKind::Forward;
  int batch_ = 1, channels_ = 1, lanes_ = 1, block_ = 1, rows_ = 1;
  Axis x_axis_, y_axis_;
  Halide::Type type_;
  Var cv_{"cv"}, c_{"c"}, x_{"x"}, y_{"y"}, n_{"n"}, co_{"co"}, ci_{"ci"}, xo_{"xo"}, xi_{"xi"}, yo_{"yo"},
      yi_{"yi"}, yt_{"yt"}, task_{"task"};
  Func padded_{"padded"}, acc_{"acc"}, out_{"out"};
};

// padded(c, x, y, n): operand 0, and zeros outside of it.
void Schedule::define_padded() {
  Func source("source");
  source(c_, x_, y_, n_) = operand(0, {n_, y_, x_, c_});
  padded_(c_, x_, y_, n_) = Halide::BoundaryConditions::constant_exterior(
      source, zero(), {{Expr(), Expr()}, {0, x_axis_.source}, {0, y_axis_.source}, {Expr(), Expr()}})(c_, x_,
                                                                                                      y_, n_);
}

void Schedule::schedule_padded() {
  vectorized(padded_);
  if (block_ > lanes_) padded_.unroll(c_);
  padded_.bound_extent(c_, block_).bound_extent(n_, 1).bound_extent(y_, y_axis_.extent_of(rows_));
  padded_.bound(x_, x_axis_.first_of(0), x_axis_.extent_of(x_axis_.result));
}

// Forward and by data.
void Schedule::pixels() {
  const int width = x_axis_.result, taps = x_axis_.taps * y_axis_.taps;
  const int stride_x = x_axis_.transposed ? x_axis_.stride : 1,
            stride_y = y_axis_.transposed ? y_axis_.stride : 1;
  // Of the taps of a tile: with a stride each pixel has its share.
  const int budget = std::max(1, kMostUnrolled * stride_x * stride_y / taps);
  const int sums = std::min(options_.vector_registers >= 32 ? 14 : 8, budget);
  int tile_y = std::min(stride_y > 1 ? stride_y : 2, rows_);
  int tile_x = divisor_up_to(width, std::max(1, sums / tile_y));
  if (tile_x * tile_y * 2 < sums) tile_x = std::min(width, std::max(1, sums / tile_y));
  // Residues are known only where the tile has all of them.
  if (stride_x > 1) tile_x = std::min(width, std::max(stride_x, tile_x / stride_x * stride_x));
  const bool unroll_rows = tile_x * tile_y * taps <= 2 * kMostUnrolled * stride_x * stride_y;

  define_padded();
  RDom r(0, y_axis_.taps, "r");
  const Expr ky = y_axis_.taps > 1 ? Expr(r.x) : Expr(0);
  const Expr row = y_axis_.element(y_, ky), row_exists = y_axis_.exists(y_, ky);
  Expr sum = zero();
  for (int kx = 0; kx < x_axis_.taps; ++kx) {
    const Expr term = padded_(c_, x_axis_.element(x_, kx), row, n_) * operand(1, {ky, kx, c_});
    const Expr exists = x_axis_.exists(x_, kx) && row_exists;
    sum += Halide::Internal::is_const_one(Halide::Internal::simplify(exists)) ? term
                                                                              : select(exists, term, zero());
  }
  acc_(c_, x_, y_, n_) = zero();
  acc_(c_, x_, y_, n_) += sum;
  lowering_.provide({node_, 0}, [&](const Index& i) { return acc_(i[3], i[2], i[1], i[0]); });
  set_out({c_, x_, y_, n_}, {n_, y_, x_, c_});

  out_.split(c_, co_, ci_, block_, inwards(channels_, block_))
      .split(ci_, cv_, ci_, lanes_, TailStrategy::RoundUp);
  out_.split(y_, yo_, yt_, rows_, inwards(y_axis_.result, rows_))
      .split(yt_, yt_, yi_, tile_y, inwards(rows_, tile_y));
  out_.split(x_, xo_, xi_, tile_x, inwards(width, tile_x));
  out_.reorder(ci_, xi_, yi_, cv_, xo_, yt_, co_, yo_, n_).unroll(xi_).unroll(yi_);
  if (lanes_ > 1) out_.vectorize(ci_, lanes_);
  Var at = co_;
  if (is_large()) out_.fuse(co_, yo_, task_).fuse(task_, n_, task_).parallel(task_), at = task_;
  padded_.compute_at(out_, at);
  schedule_padded();
  acc_.compute_at(out_, cv_).bound_extent(x_, tile_x).bound_extent(y_, tile_y).bound_extent(c_, lanes_);
  vectorized(acc_);
  acc_.unroll(x_).unroll(y_);
  Halide::Stage update = acc_.update();
  if (y_axis_.taps > 1) {
    update.reorder(c_, x_, y_, r.x);
    if (unroll_rows) update.unroll(r.x);
  }
  vectorized(update);
  update.unroll(x_).unroll(y_);
}

// Sums over blocks of rows, added in order; parts of the blocks apart from each other.
void Schedule::by_weights() {
  const int width = x_axis_.result, height = y_axis_.result;
  const int row_blocks = ceil_div(height, rows_);
  const int taps_x = x_axis_.taps <= 16 ? x_axis_.taps : 1;
  const int most_sums = options_.vector_registers >= 32 ? 25 : 12;
  const int taps_y = divisor_up_to(y_axis_.taps, std::max(1, most_sums / taps_x));
  const int unrolled = divisor_up_to(width, std::max(1, 36 / (taps_x * taps_y)));
  const bool by_image = batch_ > 1;
  const int64_t bytes =
      int64_t{ceil_div(channels_, block_) * block_} * x_axis_.taps * y_axis_.taps * type_.bytes();
  const bool whole = bytes <= kStackBytes / 2;
  const int slabs =
      whole ? divisor_up_to(by_image ? batch_ : row_blocks,
                            static_cast<int>(std::min<int64_t>(kParallelPieces, kStackBytes / 2 / bytes)))
            : 1;

  define_padded();
  Var kx("kx"), ky("ky"), s("s"), yb("yb"), kyo("kyo"), kyi("kyi"), kxo("kxo"), kxi("kxi"), cb("cb");
  RDom r(0, width, 0, rows_, "r");
  const Expr y = yb * rows_ + r.y;
  if (height % rows_) r.where(y < height);
  // The last block of channels begins earlier if it is not full.
  const bool tail = channels_ % block_ != 0;
  const int last = channels_ - block_;
  const Expr channel = tail ? Halide::min(cb * block_, last) + c_ : cb * block_ + c_;
  acc_(c_, cb, kx, ky, yb, n_) = zero();
  acc_(c_, cb, kx, ky, yb, n_) += padded_(channel, x_axis_.element(r.x, kx), y_axis_.element(y, ky), n_) *
                                  operand(1, {n_, y, r.x, channel});
  const int per_slab = (by_image ? batch_ : row_blocks) / slabs;
  RDom b(0, by_image ? row_blocks : per_slab, 0, by_image ? per_slab : 1, "b");
  Func total("total");
  total(c_, cb, kx, ky, s) = zero();
  total(c_, cb, kx, ky, s) +=
      by_image ? acc_(c_, cb, kx, ky, b.x, s * per_slab + b.y) : acc_(c_, cb, kx, ky, s * per_slab + b.x, 0);
  lowering_.provide({node_, 0}, [&](const Index& i) {
    const Expr c = i[2];
    const Expr lane =
        tail ? Halide::clamp(select(c >= channels_ / block_ * block_, c - last, c % block_), 0, block_ - 1)
             : c % block_;
    Expr sum = total(lane, c / block_, i[1], i[0], 0);
    for (int k = 1; k < slabs; ++k) sum += total(lane, c / block_, i[1], i[0], k);
    return sum;
  });
  set_out({c_, kx, ky}, {ky, kx, c_});

  out_.split(c_, co_, ci_, block_, tail ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
  out_.reorder(ci_, kx, ky, co_);
  if (lanes_ > 1 && !tail) out_.vectorize(ci_, lanes_);
  if (whole) {
    total.compute_root();
  } else {
    total.compute_at(out_, co_).bound_extent(cb, 1);
    if (is_large()) out_.parallel(co_);
  }
  total.bound(c_, 0, block_);
  vectorized(total);
  Halide::Stage update = total.update();
  update.split(c_, cv_, ci_, lanes_, TailStrategy::RoundUp);
  update.split(ky, kyo, kyi, taps_y, TailStrategy::RoundUp)
      .split(kx, kxo, kxi, taps_x, TailStrategy::RoundUp);
  std::vector<Halide::VarOrRVar> order{ci_, kxi, kyi, kxo, kyo, cv_, cb};
  const auto is_one = [](const Halide::RVar& v) {
    return Halide::Internal::is_const_one(Halide::Internal::simplify(v.extent()));
  };
  for (const Halide::RVar& v : {b.x, b.y})
    if (!is_one(v)) order.push_back(v);
  order.push_back(s);
  update.reorder(order).unroll(kxi).unroll(kyi);
  if (lanes_ > 1) update.vectorize(ci_, lanes_);
  if (whole && is_large()) total.parallel(s), update.parallel(s);
  padded_.compute_at(total, cb);
  schedule_padded();
  acc_.compute_at(total, kxo).bound_extent(kx, taps_x).bound_extent(ky, taps_y).bound_extent(c_, lanes_);
  vectorized(acc_);
  acc_.unroll(kx).unroll(ky);
  Halide::Stage inner = acc_.update();
  std::vector<Halide::VarOrRVar> inner_order{c_, kx, ky};
  for (const Halide::RVar& v : {r.x, r.y})
    if (!is_one(v)) inner_order.push_back(v);
  inner.reorder(inner_order);
  vectorized(inner);
  inner.unroll(kx).unroll(ky);
  if (unrolled > 1) inner.unroll(r.x, unrolled);
}

}  // namespace

Pipeline schedule_depthwise(Lowering& lowering, const ScheduleOptions& options) {
  return Schedule(lowering, options).build();
}

}  // namespace nncc
