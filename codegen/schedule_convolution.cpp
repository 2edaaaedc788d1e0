// One convolution over packed weights, and what follows it, done in registers: a tile of `vectors` x
// `columns` pixels of one row (of `images` images where rows are short) runs over all taps and channels,
// reading its panel of weights as one stream. Nothing is padded or copied: the loop over rows of the window
// is as long as it has rows inside of the image, and columns outside are zeros that fold away in the first
// and last tile. A gradient by data with strides is as many such sums as there are residues of (row, column)
// modulo the strides, each with its own taps and none with a test inside; one tile covers a pixel of each.
// Where windows of the result are wanted, a block of tiles as high as a window and as wide as whole windows
// stays in cache until it is pooled. Where sums over blocks of rows are wanted, each tile adds to them.
#include <algorithm>
#include <limits>
#include <numeric>

#include "codegen/pooling.h"
#include "codegen/schedule.h"
#include "codegen/statistics.h"
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

int as_int(int64_t i) { return static_cast<int>(i); }

// The taps along one axis of the results q * step + residue, q = 0, 1, …: tap j of `count` has weight
// first + j * every and reads element q * scale + j * delta + offset.
struct Taps {
  int first = 0, every = 1, count = 0;
  int scale = 1, delta = 1, offset = 0;
};

struct Axis {
  int extent = 0;         // of the result
  int source_extent = 0;  // of what is read
  int step = 1;           // one set of taps for each residue modulo this
  std::vector<Taps> taps;

  int count() const { return as_int(ceil_div(extent, step)); }
  // Whether some tap of q = 0 .. last reads outside.
  bool reads_outside(int last) const {
    return std::any_of(taps.begin(), taps.end(), [&](const Taps& t) {
      if (t.count == 0) return false;
      const int span = (t.count - 1) * t.delta;
      return t.offset + std::min(span, 0) < 0 ||
             last * t.scale + t.offset + std::max(span, 0) >= source_extent;
    });
  }
};

Axis make_axis(const Convolution& conv, size_t i) {
  const int stride = as_int(conv.strides[i]), dilation = as_int(conv.dilation[i]), low = as_int(conv.low[i]),
            window = as_int(conv.window[i]);
  if (conv.kind == ConvKind::Forward)
    return {as_int(conv.output[i]), as_int(conv.input[i]), 1, {{0, 1, window, stride, dilation, -low}}};
  // dx[q * stride + residue] reads dy[t] through tap k where t * stride + k * dilation - low is that place.
  Axis axis{as_int(conv.input[i]), as_int(conv.output[i]), stride, {}};
  const int every = stride / std::gcd(stride, dilation);
  for (int residue = 0; residue < stride; ++residue) {
    Taps taps;
    int first = 0;
    while (first < every && (residue + low - first * dilation) % stride != 0) ++first;
    if (first < every && first < window) {
      taps.first = first;
      taps.every = every;
      taps.count = (window - 1 - first) / every + 1;
      taps.delta = -every * dilation / stride;
      taps.offset = (residue + low - first * dilation) / stride;
    }
    axis.taps.push_back(taps);
  }
  return axis;
}

// Whether a residue has taps that all its places read outside of the image: Halide 14 proves code for them
// unreachable, and cannot compile what it then makes of it.
bool has_dead_taps(const Axis& axis) {
  for (int residue = 0; axis.step > 1 && residue < axis.step; ++residue) {
    const Taps& taps = axis.taps[static_cast<size_t>(residue)];
    const int last = residue < axis.extent ? (axis.extent - 1 - residue) / axis.step : -1;
    for (int j = 0; j < taps.count; ++j) {
      const int first_read = j * taps.delta + taps.offset;
      if (first_read >= axis.source_extent || first_read + last * taps.scale < 0) return true;
    }
  }
  return false;
}

// A kernel has code for each residue.
constexpr int64_t kMostResidues = 16;
// Longer windows keep their loop over columns.
constexpr int kUnrolledTaps = 11;

struct Recipe {
  // For a few channels the lanes hold several terms of one sum, added up at the end; weights are laid out
  // anew for that, once a call.
  bool dot = false;
  int lanes = 16;                            // of a vector
  int vectors = 2, columns = 7, images = 1;  // the tile
  bool panels_outermost = true;              // else images
};

// So many sums in flight hide the latency of a multiply-add: on Zen 4 one of 64 bytes a cycle, 4 cycles long.
// More would not be faster, and with little provocation they spill. Where a tile has many residues, each is
// unrolled: less of each keeps compilation short.
std::pair<int, int> sums_range(const ScheduleOptions& options, bool dot, int residues) {
  if (residues > (dot ? 1 : 4)) return {4, 8};
  return options.vector_registers < 32 ? std::pair(8, 10) : std::pair(8, 16);
}

// The width of a tile of `vectors` vectors: little computed beyond the end of the row, many sums.
int choose_columns(int columns, int vectors, std::pair<int, int> sums) {
  const int least = std::max(1, sums.first / vectors), most = std::max(1, sums.second / vectors);
  // One tile has no borders to tell from the rest: worth a column more.
  if (columns <= most + (vectors <= 2)) return columns;
  int best = most;
  double best_cost = std::numeric_limits<double>::max();
  for (int c = most; c >= least; --c) {
    const int tiles = as_int(ceil_div(columns, c));
    // A row that is not a multiple ends with a test for each pixel.
    const double cost = static_cast<double>(tiles * c) / columns + (columns % c ? 0.02 : 0) + 0.02 / c;
    if (cost < best_cost) best_cost = cost, best = c;
  }
  return best;
}

// `columns` of a row are wanted.
Recipe choose(const Convolution& conv, const Axis& y, const Axis& x, int columns, int64_t element_bytes,
              int vector_lanes, const ScheduleOptions& options) {
  Recipe r;
  const int lanes = as_int(conv.lanes);
  const bool forward = conv.kind == ConvKind::Forward;
  const int64_t depth = forward ? conv.in_per_group() : conv.out_per_group();
  r.dot = conv.groups == 1 && conv.panel_channels() <= std::min(4, vector_lanes / 2) &&
          depth % vector_lanes == 0 &&
          conv.panel_channels() * depth * num_elements(conv.window) * element_bytes <= kStackBytes / 2;
  r.lanes = lanes <= vector_lanes ? lanes : std::gcd(lanes, vector_lanes);
  r.vectors = lanes / r.lanes;
  if (r.dot) r.lanes = vector_lanes, r.vectors = as_int(conv.panel_channels());
  if (r.vectors > 4)
    for (r.vectors = 4; (lanes / r.lanes) % r.vectors != 0;) --r.vectors;
  auto sums = sums_range(options, r.dot, y.step * x.step);
  // Pixels that neighbouring taps share stay in registers, next to the sums.
  if (options.vector_registers < 32 && r.vectors == 1 && !r.dot) sums = {6, 6};
  r.columns = choose_columns(columns, r.vectors, sums);
  for (int images = 1; images <= conv.batch && images * r.columns * r.vectors <= sums.second; ++images)
    if (conv.batch % images == 0 && (r.images * r.columns * r.vectors < sums.first)) r.images = images;
  // What has to come from beyond the second-level cache in either order of the loops.
  const double cache = 512 << 10;
  const double source = static_cast<double>(element_bytes * conv.batch *
                                            (forward ? conv.in_channels * num_elements(conv.input)
                                                     : conv.out_channels * num_elements(conv.output)));
  const double weights = static_cast<double>(element_bytes * conv.out_channels * conv.in_per_group() *
                                             num_elements(conv.window));
  const auto panels = static_cast<double>(conv.panels_per_group());
  r.panels_outermost = source * (source > cache ? panels : 1) + weights <=
                       weights * (weights > cache ? static_cast<double>(conv.batch) : 1) + source;
  return r;
}

class Schedule {
 public:
  Schedule(Lowering& lowering, const ScheduleOptions& options)
      : lowering_(lowering), options_(options), body_(lowering.body()) {
    for (NodeId id : body_.nodes())
      if (is_convolution(body_[id].op)) node_ = id, anchor_ = {id, 0};
    NNCC_CHECK(static_cast<bool>(node_), "no convolution in the kernel");
    const Node& node = body_[node_];
    conv_ = convolution(body_, node);
    y_axis_ = make_axis(conv_, 0);
    x_axis_ = make_axis(conv_, 1);
    type_ = compute_type(node.types[0].dtype);
    pooled_ = pooled_body(body_, {node_, 0});
    statistics_ = statistics_body(body_, {node_, 0});
    if (pooled_) anchor_ = pooled_->window, pooling_ = pooled_->pooling;
    result_ = body_.type(anchor_).shape;
    columns_ = pooled_ ? as_int(result_[2] * pooling_.columns) : x_axis_.count();
    recipe_ = choose(conv_, y_axis_, x_axis_, columns_, type_.bytes(), options.lanes(type_), options);
    channels_ = as_int(result_[3]);
    width_ = recipe_.dot ? channels_ : recipe_.vectors * recipe_.lanes;
    // Whole tiles, whole windows.
    block_ = std::lcm(recipe_.columns, as_int(pooling_.columns));
  }

  Pipeline build();

 private:
  // `total` is what the output reads; `running` runs over the taps and is the same but for dot products.
  struct Sum {
    Func total, running;
    bool unroll = false;  // the innermost loop of `running`
  };
  Sum define_sum(const Taps& y, const Taps& x, const std::string& name);
  Sum define_dot(Func sum, const Expr& source, const Taps& y, const Taps& x, const Index& at,
                 const Shape& extents);
  Expr weight(const Taps& y, const Taps& x, const Expr& panel, const Expr& ky, const Expr& c, const Expr& kx,
              const Expr& lane);
  void place_at_tile(Func f);
  void schedule_sum(Sum sum);
  void define_element(const Sum& sum);
  void schedule_element();
  void define_output(const std::vector<Sum>& sums);
  void parallelize(Halide::Stage out);

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Graph& body_;
  NodeId node_;
  Value anchor_;  // has the results' shape: the convolution, or windows of its elements
  Shape result_;
  std::optional<PooledBody> pooled_;
  Pooling pooling_;
  std::optional<StatisticsBody> statistics_;
  Convolution conv_;
  Axis y_axis_, x_axis_;
  Halide::Type type_;
  Recipe recipe_;
  int width_ = 0;     // channels of a tile
  int channels_ = 0;  // of the result
  int columns_ = 0;   // of the convolution that are wanted, of each residue
  int block_ = 0;     // columns of tiles that are done before anything is pooled
  Var o_{"o"}, x_{"x"}, y_{"y"}, b_{"b"}, n_{"n"}, t_{"t"}, p_{"p"}, l_{"l"};
  Var oi_{"oi"}, po_{"po"}, xi_{"xi"}, xo_{"xo"}, yi_{"yi"}, yo_{"yo"}, ni_{"ni"}, no_{"no"};
  Func element_{"element"}, out_{"out"};
};

// sum(t, x, y, p, n): channel t of tile p. Undefined if there is no tap.
Schedule::Sum Schedule::define_sum(const Taps& y, const Taps& x, const std::string& name) {
  if (y.count == 0 || x.count == 0) return {};
  const bool forward = conv_.kind == ConvKind::Forward;
  const int depth = as_int(forward ? conv_.in_per_group() : conv_.out_per_group()),
            steps = recipe_.dot ? depth / recipe_.lanes : depth;
  Halide::Region region;
  for (int extent : {x.count, steps, y.count})
    if (extent > 1) region.emplace_back(0, extent);
  RDom r = region.empty() ? RDom() : RDom(region, name + "_r");
  int dimension = 0;
  const auto variable = [&](int extent) { return extent > 1 ? Expr(r[dimension++]) : Expr(0); };
  const Expr kx = variable(x.count), step = variable(steps), ky = variable(y.count);
  const Expr c = recipe_.dot ? step * recipe_.lanes + l_ : step;

  const Expr row = Halide::Internal::simplify(y_ * y.scale + ky * y.delta + y.offset);
  const Expr column = Halide::Internal::simplify(x_ * x.scale + kx * x.delta + x.offset);
  const int rows = y_axis_.source_extent, columns = x_axis_.source_extent;
  const bool rows_outside = y_axis_.reads_outside(y_axis_.count() - 1);
  const int computed = as_int(ceil_div(columns_, block_)) * block_;
  const bool columns_outside = x_axis_.reads_outside(computed - 1);
  // Without a loop over rows there is nothing to cut short.
  const bool test_rows = rows_outside && y.count == 1;
  if (rows_outside && !test_rows) r.where(row >= 0 && row < rows);

  const int tiles_per_group = as_int(conv_.panels_per_group() * (conv_.lanes / width_));
  const Expr channel = conv_.groups == 1 ? c : (p_ / tiles_per_group) * depth + c;
  const Expr safe_column = columns_outside ? Halide::clamp(Halide::likely(column), 0, columns - 1) : column;
  const Expr safe_row = test_rows ? Halide::clamp(Halide::likely(row), 0, rows - 1) : row;
  Expr source = lowering_.at(body_[node_].operands[0], {n_, safe_row, safe_column, channel});
  Expr outside = Halide::Internal::const_false();
  if (columns_outside) outside = outside || column < 0 || column >= columns;
  if (test_rows) outside = outside || row < 0 || row >= rows;
  if (columns_outside || test_rows)
    source = Halide::select(outside, Halide::Internal::make_zero(type_), Halide::likely(source));

  Func sum(name);
  if (recipe_.dot) return define_dot(sum, source, y, x, {kx, step, ky}, {x.count, steps, y.count});
  const int parts = as_int(conv_.lanes) / width_;
  const Expr panel = parts == 1 ? Expr(p_) : p_ / parts;
  const Expr lane = parts == 1 ? Expr(t_) : (p_ % parts) * width_ + t_;
  sum(t_, x_, y_, p_, n_) = Halide::Internal::make_zero(type_);
  sum(t_, x_, y_, p_, n_) += source * weight(y, x, panel, ky, c, kx, lane);
  return {sum, sum, x.count > 1 && x.count <= kUnrolledTaps};
}

// sum(t, x, y, p, n) of partial(l, t, x, y, p, n) over the lanes l.
Schedule::Sum Schedule::define_dot(Func sum, const Expr& source, const Taps& y, const Taps& x,
                                   const Index& at, const Shape& extents) {
  Func partial(sum.name() + "_partial"), weights(sum.name() + "_weights");
  Var kx("kx"), step("step"), ky("ky");
  const int lanes = recipe_.lanes, panel = as_int(conv_.lanes);
  weights(l_, kx, step, ky, t_) = weight(y, x, t_ / panel, ky, step * lanes + l_, kx, t_ % panel);
  weights.compute_root().bound(l_, 0, lanes).bound(t_, 0, width_);
  weights.bound(kx, 0, as_int(extents[0]))
      .bound(step, 0, as_int(extents[1]))
      .bound(ky, 0, as_int(extents[2]));
  partial(l_, t_, x_, y_, p_, n_) = Halide::Internal::make_zero(type_);
  partial(l_, t_, x_, y_, p_, n_) += source * weights(l_, at[0], at[1], at[2], t_);
  const RDom r(0, lanes, sum.name() + "_lanes");
  sum(t_, x_, y_, p_, n_) = Halide::Internal::make_zero(type_);
  sum(t_, x_, y_, p_, n_) += partial(r, t_, x_, y_, p_, n_);
  place_at_tile(sum);
  sum.unroll(t_).unroll(x_).unroll(n_);
  sum.update().unroll(t_).unroll(x_).unroll(n_).atomic().vectorize(r);
  return {sum, partial, x.count > 1 && x.count <= kUnrolledTaps};
}

Expr Schedule::weight(const Taps& y, const Taps& x, const Expr& panel, const Expr& ky, const Expr& c,
                      const Expr& kx, const Expr& lane) {
  return lowering_.at(body_[node_].operands[1], {panel, Halide::Internal::simplify(ky * y.every + y.first), c,
                                                 Halide::Internal::simplify(kx * x.every + x.first), lane});
}

void Schedule::place_at_tile(Func f) {
  f.bound_extent(t_, width_).bound_extent(x_, recipe_.columns).bound_extent(y_, 1).bound_extent(p_, 1);
  f.bound_extent(n_, recipe_.images);
  if (pooled_)
    f.compute_at(element_, xo_);
  else
    f.compute_at(out_, xo_);
}

void Schedule::schedule_sum(Sum sum) {
  Func f = sum.running;
  const std::vector<Halide::RVar> loops = f.rvars(0);
  const Var vector = recipe_.dot ? l_ : t_;
  place_at_tile(f);
  if (recipe_.dot) f.bound_extent(l_, recipe_.lanes);
  std::vector<Halide::VarOrRVar> order{t_, x_, n_, y_, p_};
  if (recipe_.dot) order.insert(order.begin(), l_);
  for (const Halide::RVar& loop : loops) order.emplace_back(loop);
  Halide::Stage update = f.update();
  update.reorder(order);
  if (recipe_.lanes > 1) {
    f.vectorize(vector, recipe_.lanes, TailStrategy::RoundUp);
    update.vectorize(vector, recipe_.lanes, TailStrategy::RoundUp);
  }
  f.unroll(t_).unroll(x_).unroll(n_);
  update.unroll(t_).unroll(x_).unroll(n_);
  // Neighbouring taps share what they read, and zeros outside of the image fold away.
  if (sum.unroll) update.unroll(loops[0]);
}

// element(t, x, y, p, n): what the windows read; a block of them lies in the fastest cache. Some of its last
// tile's are of no window.
void Schedule::define_element(const Sum& sum) {
  const Expr here = sum.total(t_, x_, y_, p_, n_);
  lowering_.provide({node_, 0}, [here](const Index&) { return here; });
  Expr x = x_, channel = p_ * width_ + t_;
  if (columns_ % block_) x = Halide::min(x, x_axis_.extent - 1);
  if (channels_ % width_) channel = Halide::min(channel, channels_ - 1);
  element_(t_, x_, y_, p_, n_) = lowering_.at(pooled_->operand, {n_, y_, x, channel});
  lowering_.provide(pooled_->operand, [this](const Index& at) {
    return Expr(element_(at[3] % width_, at[2], at[1], at[3] / width_, at[0]));
  });
}

void Schedule::schedule_element() {
  element_.compute_at(out_, xo_)
      .bound_extent(t_, width_)
      .bound_extent(x_, block_)
      .bound_extent(y_, as_int(pooling_.rows))
      .bound_extent(p_, 1)
      .bound_extent(n_, recipe_.images)
      .split(x_, xo_, xi_, recipe_.columns, TailStrategy::RoundUp)
      .reorder(t_, xi_, n_, xo_, y_, p_);
  if (recipe_.lanes > 1 && !recipe_.dot) element_.vectorize(t_, recipe_.lanes, TailStrategy::RoundUp);
  element_.unroll(t_).unroll(xi_).unroll(n_);
}

void Schedule::define_output(const std::vector<Sum>& sums) {
  // Each result reads the convolution at its own place only, so what index a reshape makes of it does not
  // matter.
  const Expr y = statistics_ ? Expr(b_ * as_int(statistics_->blocks.rows) + y_) : Expr(y_);
  std::vector<Expr> classes;
  for (const Sum& sum : sums)
    classes.push_back(sum.total.defined()
                          ? Expr(sum.total(o_ % width_, x_ / x_axis_.step, y / y_axis_.step, o_ / width_, n_))
                          : Halide::Internal::make_zero(type_));
  const Expr at_place = classes.size() == 1
                            ? classes[0]
                            : Halide::mux((y_ % y_axis_.step) * x_axis_.step + x_ % x_axis_.step, classes);
  lowering_.provide({node_, 0}, [at_place](const Index&) { return at_place; });
  if (pooled_) define_element(sums[0]);
  if (statistics_)
    return define_statistics(lowering_, *statistics_, anchor_, out_, {o_, x_, y_, b_, n_}, {n_, y, x_, o_});
  const std::vector<Expr> values = results_at(lowering_, anchor_, {n_, y_, x_, o_});
  if (values.size() == 1)
    out_(o_, x_, y_, n_) = values[0];
  else
    out_(o_, x_, y_, n_) = Halide::Tuple(values);
}

// Pieces for several threads: the outer loops as they are, and blocks of rows where those are too few.
void Schedule::parallelize(Halide::Stage out) {
  if (!options_.parallel || estimate_nanoseconds(body_) <= kParallelNanoseconds) return;
  const int64_t outer = ceil_div(channels_, width_) * (conv_.batch / recipe_.images);
  const int64_t rows = pooled_ ? result_[1] : y_axis_.count();
  const Var outermost = recipe_.panels_outermost ? po_ : no_, next = recipe_.panels_outermost ? no_ : po_;
  if (statistics_) {
    if (outer < kParallelPieces) out.fuse(b_, next, next);
  } else if (outer < kParallelPieces && rows > 1) {
    const int64_t blocks = std::min(rows, ceil_div(kParallelPieces, outer));
    const int step = as_int(ceil_div(rows, blocks));
    Var block("block");
    out.split(yo_, block, yo_, step, rows % step ? TailStrategy::GuardWithIf : TailStrategy::RoundUp);
    out.fuse(block, next, next);
  }
  out.fuse(next, outermost, outermost).parallel(outermost);
}

Pipeline Schedule::build() {
  std::vector<Sum> sums;
  for (const Taps& y : y_axis_.taps)
    for (const Taps& x : x_axis_.taps) sums.push_back(define_sum(y, x, "sum" + std::to_string(sums.size())));
  define_output(sums);
  // Halide takes no other tail for stages that read what they have written; here the test folds away.
  const auto tail = [&](int64_t extent, int64_t factor) {
    return extent % factor || statistics_ ? TailStrategy::GuardWithIf : TailStrategy::RoundUp;
  };
  const int columns = block_ / as_int(pooling_.columns) * x_axis_.step;
  const TailStrategy channel_tail = tail(channels_, width_);
  Halide::Stage out = statistics_ ? out_.update(0) : Halide::Stage(out_);
  out.split(o_, po_, oi_, width_, channel_tail)
      .split(x_, xo_, xi_, columns, tail(result_[2], columns))
      .split(y_, yo_, yi_, y_axis_.step, tail(result_[1], y_axis_.step))
      .split(n_, no_, ni_, recipe_.images, tail(result_[0], recipe_.images));
  std::vector<Halide::VarOrRVar> order{oi_, xi_, yi_, ni_, xo_, yo_};
  if (statistics_) order.emplace_back(b_);
  order.emplace_back(recipe_.panels_outermost ? no_ : po_);
  order.emplace_back(recipe_.panels_outermost ? po_ : no_);
  out.reorder(order);
  if (recipe_.lanes > 1 && !recipe_.dot) out.vectorize(oi_, recipe_.lanes, channel_tail);
  out.unroll(oi_).unroll(yi_).unroll(ni_);
  if (pooled_)
    schedule_element();
  else
    out.unroll(xi_);
  parallelize(out);
  for (const Sum& sum : sums)
    if (sum.total.defined()) schedule_sum(sum);
  if (statistics_) {
    const int64_t rows = statistics_->blocks.rows;
    fix_statistics(out_, *statistics_, {result_[0], result_[1] / rows, rows, result_[2], result_[3]});
  } else {
    fix_output(out_, result_);
  }
  Pipeline pipeline;
  pipeline.outputs = {out_};
  for (size_t i = 0; i < body_.results.size(); ++i) pipeline.order.push_back(as_int(static_cast<int64_t>(i)));
  return pipeline;
}

}  // namespace

bool has_convolution_schedule(const Graph& body, NodeId id) {
  const Node& node = body[id];
  if (node.op != Op::ConvPacked && node.op != Op::ConvInputGradientPacked) return false;
  const Convolution conv = convolution(body, node);
  if (node.op == Op::ConvInputGradientPacked && num_elements(conv.strides) > kMostResidues) return false;
  for (size_t i = 0; i < conv.strides.size(); ++i)
    if (has_dead_taps(make_axis(conv, i))) return false;
  // A tile does not reach over the end of a group.
  return conv.groups == 1 || conv.panel_channels() % conv.lanes == 0;
}

Pipeline schedule_convolution(Lowering& lowering, const ScheduleOptions& options) {
  return Schedule(lowering, options).build();
}

}  // namespace nncc
