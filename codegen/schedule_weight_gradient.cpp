// The gradient of packed convolution weights: for each tap a product of two matrices over all pixels. A
// register tile of some panels x some input channels (x all taps of a row, where input channels are few) runs
// over a block of pixels that stays in the first-level cache for all taps and tiles; sums of blocks are added
// in order, block by block. Nothing is padded: pixels whose tap lies outside of the image are not in the
// loop.
#include <algorithm>
#include <functional>
#include <numeric>

#include "codegen/schedule.h"
#include "ir/convolution.h"
#include "ir/diagnostic.h"
#include "ir/memory.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

// The greatest divisor of n that is at most `most`.
int64_t divisor_up_to(int64_t n, int64_t most) {
  int64_t d = std::clamp<int64_t>(most, 1, n);
  while (n % d) --d;
  return d;
}

constexpr int64_t kLineBytes = 64;
constexpr int64_t kBlockBytes = 18 << 10;
// Of the first-level cache: addresses that far apart share a set.
constexpr int64_t kWayBytes = 4 << 10;

bool is_single(const Halide::RVar& v) {
  return Halide::Internal::is_const_one(Halide::Internal::simplify(v.extent()));
}

struct Recipe {
  int vector = 1;                          // lanes of a vector; divides the panel
  int panels = 1, channels = 1, taps = 1;  // of a register tile
  int ways = 1;                            // pixels in flight, each with sums of its own
  int rows = 1, images = 1;                // of a block of pixels
  int task_channels = 1;                   // input channels of a task, a multiple of `channels`
  bool task_row = false;                   // a task is one row of taps
  int slabs = 1;                           // parts of the blocks, summed apart
};

// A register tile. Two multiply-adds and two loads a cycle, each sum four cycles after the one before.
void choose_tile(Recipe& r, const Convolution& conv, const ScheduleOptions& options) {
  const int panels = static_cast<int>(conv.panels_per_group()), in = static_cast<int>(conv.in_per_group());
  const int width = static_cast<int>(conv.window[1]), vectors = static_cast<int>(conv.lanes) / r.vector;
  const int most = options.vector_registers >= 32 ? 16 : 12;
  double best = 1e9;
  for (int p = 1; p <= panels && p * vectors <= 8; ++p) {
    if (panels % p) continue;
    for (int c = 1; c <= std::min(in, 16); ++c)
      for (const int taps : {1, width}) {
        const int sums = p * vectors * c * taps;
        if (sums > std::max(most, vectors) || (taps > 1 && (in > 4 || width > 16))) continue;
        const int ways = taps > 1 || width == 1 ? std::max(1, most / sums) : 1;
        const double loads = p * vectors + c * taps;
        double cost = std::max({double(sums), loads, 8.0 / ways}) / sums;
        cost *= double(ceil_div(in, c) * c) / in;
        cost += 0.02 * loads / sums;
        if (taps > 1 && taps == width) cost += 0.05;  // pixels at the border are slow
        if (cost < best) best = cost, r.panels = p, r.channels = c, r.taps = taps, r.ways = ways;
      }
  }
}

class Schedule {
 public:
  Schedule(Lowering& lowering, const ScheduleOptions& options)
      : lowering_(lowering), options_(options), body_(lowering.body()) {
    for (NodeId id : body_.nodes())
      if (is_convolution(body_[id].op)) node_ = id;
    conv_ = convolution(body_, body_[node_]);
    type_ = compute_type(body_[node_].types[0].dtype);
    merge_pixels();
    choose();
  }
  Pipeline build();

 private:
  void merge_pixels();
  void choose();
  void define_sums();
  void schedule_sums(Func consumer, const Var& at);

  Expr zero() const { return Halide::Internal::make_zero(type_); }
  // Element (n, y, x) of channel `channel` of an operand whose images have extents `image`, in the merged
  // coordinates.
  Expr pixel(int operand, const Shape& image, const Index& at, const Expr& channel) {
    const Shape merged = {conv_.batch, image[0], image[1]};
    const Shape& shape = body_.type(body_[node_].operands[operand]).shape;
    Index index = lowering_.reshape(merged, Shape(shape.begin(), shape.end() - 1), at);
    index.push_back(channel);
    return lowering_.at(body_[node_].operands[operand], index);
  }
  template <typename Stage>
  void in_registers(Stage stage, const std::vector<Var>& unrolled) {
    if (recipe_.vector > 1) stage.vectorize(l_, recipe_.vector);
    stage.unroll(l_);
    for (const Var& v : unrolled) stage.unroll(v);
  }

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Graph& body_;
  NodeId node_;
  Convolution conv_;
  Halide::Type type_;
  Recipe recipe_;
  int row_blocks_ = 1, image_blocks_ = 1;
  // Blocks of a slab.
  bool by_image() const { return image_blocks_ > 1; }
  int per_slab() const { return (by_image() ? image_blocks_ : row_blocks_) / recipe_.slabs; }
  bool is_blocked() const { return per_slab() * (by_image() ? row_blocks_ : 1) > 1; }
  Var l_{"l"}, kx_{"kx"}, c_{"c"}, ky_{"ky"}, p_{"p"}, w_{"w"}, s_{"s"}, yb_{"yb"}, nb_{"nb"}, x_{"x"},
      y_{"y"}, n_{"n"};
  Func acc_{"acc"}, total_{"total"}, staged_{"staged"}, out_{"out"};
  RDom r_, edge_, blocks_;
};

// Where every tap of every window is a pixel of its own the image is one long row.
void Schedule::merge_pixels() {
  const std::vector<int64_t> ones(2, 1), zeros(2, 0);
  if (conv_.window != Shape{1, 1} || conv_.strides != ones || conv_.low != zeros ||
      conv_.input != conv_.output)
    return;
  const int64_t pixels = conv_.batch * num_elements(conv_.input);
  const int64_t row = divisor_up_to(pixels, 256);
  if (row < conv_.input[1]) return;
  conv_.batch = 1;
  conv_.input = conv_.output = {pixels / row, row};
}

void Schedule::choose() {
  Recipe& r = recipe_;
  r.vector = options_.lanes(type_);
  while (conv_.lanes % r.vector) r.vector /= 2;
  choose_tile(r, conv_, options_);
  // Blocks of about as many pixels as lie in half of the first-level cache, with all their panels and a line
  // of the image for each. Of pixels whose distance is a large power of two few fit.
  const int64_t pixel_bytes =
      r.panels * conv_.lanes * type_.bytes() + kLineBytes * conv_.strides[0] * conv_.strides[1];
  const int64_t gradient_bytes = conv_.out_channels * type_.bytes();
  const int64_t places = kWayBytes / std::gcd(kWayBytes, gradient_bytes);
  const int64_t pixels = std::min(kBlockBytes / pixel_bytes, 16 * places), width = conv_.output[1],
                height = conv_.output[0];
  r.rows = static_cast<int>(ceil_div(height, ceil_div(height, std::max<int64_t>(1, pixels / width))));
  r.images = r.rows < height ? 1 : static_cast<int>(std::max<int64_t>(1, pixels / (width * height)));
  r.images = static_cast<int>(ceil_div(conv_.batch, ceil_div(conv_.batch, r.images)));
  row_blocks_ = static_cast<int>(ceil_div(height, r.rows));
  image_blocks_ = static_cast<int>(ceil_div(conv_.batch, r.images));
  // A task has the channels of one line of cache; of several where they have few taps.
  const int64_t in = conv_.in_per_group();
  const int64_t lines = std::clamp<int64_t>(8 / num_elements(conv_.window), 1, 4);
  const int64_t tasks = ceil_div(in, lines * kLineBytes / type_.bytes());
  r.task_channels = static_cast<int>(ceil_div(ceil_div(in, tasks), r.channels) * r.channels);
  const auto bytes = [&] {
    return r.panels * conv_.lanes * r.task_channels * num_elements(conv_.window) * type_.bytes();
  };
  if (bytes() > kStackBytes / 2) r.task_channels = r.channels;
  r.task_row = bytes() > kStackBytes / 2;
  // Too few tasks: parts of the blocks.
  const int64_t pieces =
      conv_.groups * conv_.panels_per_group() / r.panels * tasks * (r.task_row ? conv_.window[0] : 1);
  const int64_t all =
      conv_.groups * conv_.panels_per_group() * conv_.lanes * in * num_elements(conv_.window) * type_.bytes();
  if (pieces < 4 && estimate_nanoseconds(body_) > 4 * kParallelNanoseconds) {
    const int64_t most = std::min<int64_t>(kParallelPieces, kStackBytes / 2 / all);
    const bool by_image = image_blocks_ > 1;
    r.slabs =
        static_cast<int>(divisor_up_to(by_image ? image_blocks_ : row_blocks_, std::max<int64_t>(1, most)));
  }
}

// acc: the sums over one block. total: over the blocks of a slab.
void Schedule::define_sums() {
  const Recipe& r = recipe_;
  const auto number = [](int64_t i) { return static_cast<int>(i); };
  const int OH = number(conv_.output[0]), OW = number(conv_.output[1]), H = number(conv_.input[0]),
            W = number(conv_.input[1]), N = number(conv_.batch), lanes = number(conv_.lanes),
            panels = number(conv_.panels_per_group()), in = number(conv_.in_per_group()),
            out = number(conv_.out_per_group());
  const int sy = number(conv_.strides[0]), sx = number(conv_.strides[1]), dy = number(conv_.dilation[0]),
            dx = number(conv_.dilation[1]), low_y = number(conv_.low[0]), low_x = number(conv_.low[1]),
            width = number(conv_.window[1]);
  const bool one_group = conv_.groups == 1;
  const Expr group = one_group ? Expr(0) : p_ / panels, panel = one_group ? Expr(p_) : p_ % panels;
  Expr channel = in % r.task_channels ? Halide::min(c_, in - 1) : Expr(c_);
  channel = Halide::Internal::simplify(group * in + channel);

  // A last panel that is not full reads rows filled with zeros.
  const bool staged = out % lanes != 0;
  if (staged) {
    const RDom rl(0, lanes, "rl");
    staged_(l_, p_, x_, y_, n_) = zero();
    RDom filled = rl;
    filled.where(panel * lanes + rl < out);
    staged_(filled, p_, x_, y_, n_) =
        pixel(1, conv_.output, {Halide::min(n_, N - 1), Halide::min(y_, OH - 1), x_},
              group * out + panel * lanes + filled);
  }
  const auto gradient = [&](const Expr& n, const Expr& y, const Expr& x) {
    return staged ? Expr(staged_(l_, p_, x, y, n))
                  : pixel(1, conv_.output, {n, y, x},
                          Halide::Internal::simplify(group * out + panel * lanes + l_));
  };
  const bool rows_outside = low_y > 0 || (OH - 1) * sy + (number(conv_.window[0]) - 1) * dy - low_y >= H,
             columns_outside = low_x > 0 || (OW - 1) * sx + (width - 1) * dx - low_x >= W;
  // A loop of one row (column) cannot be cut short: what a tap outside of the image reads counts nothing.
  const auto term = [&](const Expr& n, const Expr& y, const Expr& x) {
    Expr iy = Halide::Internal::simplify(y * sy + ky_ * dy - low_y),
         ix = Halide::Internal::simplify(x * sx + kx_ * dx - low_x);
    Expr outside = Halide::Internal::const_false();
    if (OH == 1 && rows_outside) outside = outside || iy < 0 || iy >= H, iy = Halide::clamp(iy, 0, H - 1);
    if (OW == 1 && columns_outside) outside = outside || ix < 0 || ix >= W, ix = Halide::clamp(ix, 0, W - 1);
    const Expr product = pixel(0, conv_.input, {n, iy, ix}, channel) * gradient(n, y, x);
    return Halide::Internal::is_const_zero(outside) ? product : Halide::select(outside, zero(), product);
  };
  // Of the block's rows and images those that exist and have this tap.
  const auto keep_rows = [&](RDom& domain, const Expr& y, const Expr& n) {
    const Expr iy = y * sy + ky_ * dy - low_y;
    if (OH > 1 && rows_outside) domain.where(iy >= 0 && iy < H);
    if (OH % r.rows) domain.where(y < OH);
    if (N % r.images) domain.where(n < N);
  };
  const auto keep_columns = [&](RDom& domain, const Expr& x) {
    const Expr ix = x * sx + kx_ * dx - low_x;
    if (OW > 1 && columns_outside) domain.where(ix >= 0 && ix < W);
  };

  acc_(l_, kx_, c_, ky_, p_, w_, yb_, nb_) = zero();
  // Columns that every tap has, if the tile is a row of taps.
  int first = 0, last = OW;
  if (r.taps > 1) {
    first = std::clamp(number(ceil_div(std::max(low_x, 0), sx)), 0, OW);
    last = std::clamp((W - 1 + low_x - (width - 1) * dx + sx) / sx, first, OW);
    if (W - 1 + low_x - (width - 1) * dx < 0) last = first;
  }
  const int steps = (last - first) / r.ways;
  if (steps > 0) {
    r_ = RDom(0, steps, 0, r.rows, 0, r.images, "r");
    const Expr y = yb_ * r.rows + r_.y, n = nb_ * r.images + r_.z;
    keep_rows(r_, y, n);
    const Expr x = first + r_.x * r.ways + w_;
    if (r.taps == 1) keep_columns(r_, x);
    acc_(l_, kx_, c_, ky_, p_, w_, yb_, nb_) += term(n, y, x);
  }
  const int rest = OW - steps * r.ways;
  if (rest > 0) {
    edge_ = RDom(0, rest, 0, r.rows, 0, r.images, "edge");
    const Expr y = yb_ * r.rows + edge_.y, n = nb_ * r.images + edge_.z;
    const Expr x = steps == 0 ? Expr(edge_.x) : select(edge_.x < first, edge_.x, edge_.x + steps * r.ways);
    keep_rows(edge_, y, n);
    keep_columns(edge_, x);
    acc_(l_, kx_, c_, ky_, p_, 0, yb_, nb_) += term(n, y, Halide::clamp(x, 0, OW - 1));
  }
  const auto block = [&](const Expr& rows, const Expr& images) {
    Expr sum = acc_(l_, kx_, c_, ky_, p_, 0, rows, images);
    for (int w = 1; w < r.ways; ++w) sum += acc_(l_, kx_, c_, ky_, p_, w, rows, images);
    return sum;
  };
  const Expr slab = r.slabs > 1 ? Expr(s_) : Expr(0);
  if (!is_blocked()) {
    total_(l_, kx_, c_, ky_, p_, s_) = by_image() ? block(0, slab) : block(slab, 0);
    return;
  }
  blocks_ = by_image() ? RDom(0, row_blocks_, 0, per_slab(), "b") : RDom(0, per_slab(), 0, 1, "b");
  const Expr rows = by_image() ? Expr(blocks_.x) : slab * per_slab() + blocks_.x;
  const Expr images = by_image() ? slab * per_slab() + blocks_.y : Expr(0);
  total_(l_, kx_, c_, ky_, p_, s_) = zero();
  total_(l_, kx_, c_, ky_, p_, s_) += block(rows, images);
}

Pipeline Schedule::build() {
  const Recipe& r = recipe_;
  define_sums();
  lowering_.provide({node_, 0}, [&](const Index& i) {
    Expr sum = total_(i[4], i[3], i[2], i[1], i[0], 0);
    for (int s = 1; s < r.slabs; ++s) sum += total_(i[4], i[3], i[2], i[1], i[0], s);
    return sum;
  });
  const std::vector<Expr> values = results_at(lowering_, {node_, 0}, {p_, ky_, c_, kx_, l_});
  if (values.size() == 1)
    out_(l_, kx_, c_, ky_, p_) = values[0];
  else
    out_(l_, kx_, c_, ky_, p_) = Halide::Tuple(values);
  fix_output(out_, body_[node_].types[0].shape);

  Var po("po"), pi("pi"), co("co"), ci("ci"), task("task"), cio("cio");
  const int in = static_cast<int>(conv_.in_per_group()), rows = static_cast<int>(conv_.window[0]);
  out_.split(p_, po, pi, r.panels, TailStrategy::RoundUp)
      .split(c_, co, ci, r.task_channels,
             in % r.task_channels ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
  if (r.task_row)
    out_.reorder(l_, kx_, ci, pi, ky_, co, po);
  else
    out_.reorder(l_, kx_, ci, ky_, pi, co, po);
  if (r.vector > 1) out_.vectorize(l_, r.vector);
  const bool large = options_.parallel && estimate_nanoseconds(body_) > kParallelNanoseconds;
  if (r.slabs > 1) {
    total_.compute_root();
    if (large) total_.parallel(s_);
    if (large && is_blocked()) total_.update().parallel(s_);
  } else {
    if (large) out_.fuse(co, po, task).parallel(task);
    total_.compute_at(out_, r.task_row ? ky_ : large ? task : co);
  }
  if (r.slabs == 1)
    total_.bound_extent(c_, r.task_channels)
        .bound_extent(p_, r.panels)
        .bound_extent(ky_, r.task_row ? 1 : rows);
  else
    total_.bound_extent(c_, static_cast<int>(ceil_div(in, r.task_channels)) * r.task_channels);
  // The tiles.
  const auto tile = [&](auto stage) {
    stage.split(c_, co, ci, r.channels, TailStrategy::RoundUp)
        .split(p_, po, pi, r.panels, TailStrategy::RoundUp);
    if (r.vector > 1) stage.vectorize(l_, r.vector);
    stage.unroll(l_).unroll(ci).unroll(pi);
    if (r.taps > 1) stage.unroll(kx_);
  };
  const bool blocked = is_blocked();
  const bool taps = r.taps > 1;
  Var block_var = s_;
  std::vector<Halide::VarOrRVar> order{l_, pi, ci, kx_};
  order.insert(order.end(), {co, ky_, po});
  if (!taps) std::swap(order[3], order[4]);
  if (blocked) {
    if (r.vector > 1) total_.vectorize(l_, r.vector);
    for (int i = 2; i-- > 0;)
      if (!is_single(blocks_[i])) block_var = Var(blocks_[i].name());
    for (int i = 0; i < 2; ++i)
      if (!is_single(blocks_[i])) order.push_back(blocks_[i]);
    order.push_back(s_);
    tile(total_.update());
    total_.update().reorder(order);
  } else {
    order.push_back(s_);
    tile(total_);
    total_.reorder(order);
  }
  acc_.compute_at(total_, co).bound_extent(c_, r.channels).bound_extent(p_, r.panels);
  const std::vector<Var> unrolled = taps ? std::vector<Var>{c_, p_, w_, kx_} : std::vector<Var>{c_, p_, w_};
  in_registers(acc_, unrolled);
  int stage = 0;
  for (const RDom& domain : {r_, edge_}) {
    if (!domain.defined()) continue;
    Halide::Stage update = acc_.update(stage++);
    std::vector<Halide::VarOrRVar> inner{l_, p_, c_};
    const bool has_ways = domain.same_as(r_);
    if (has_ways) inner.push_back(w_);
    inner.push_back(kx_);
    for (int i = 0; i < 3; ++i)
      if (!is_single(domain[i])) inner.push_back(domain[i]);
    update.reorder(inner);
    in_registers(update, has_ways ? unrolled
                         : taps   ? std::vector<Var>{c_, p_, kx_}
                                  : std::vector<Var>{c_, p_});
  }
  if (staged_.defined()) {
    staged_.compute_at(total_, block_var).bound_extent(y_, r.rows).bound_extent(n_, r.images);
    staged_.bound_extent(p_,
                         r.slabs > 1 ? static_cast<int>(conv_.groups * conv_.panels_per_group()) : r.panels);
    if (r.vector > 1)
      staged_.vectorize(l_, r.vector), staged_.update().vectorize(staged_.rvars(0)[0], r.vector);
  }
  Pipeline pipeline;
  pipeline.outputs = {out_};
  for (size_t i = 0; i < body_.results.size(); ++i) pipeline.order.push_back(static_cast<int>(i));
  return pipeline;
}

}  // namespace

Pipeline schedule_weight_gradient(Lowering& lowering, const ScheduleOptions& options) {
  return Schedule(lowering, options).build();
}

}  // namespace nncc
