// Winograd's convolutions: for a block of tiles the transformed inputs, then for each panel of output
// channels one small product for each of the points, their transform to outputs, and what is done with each
// element.
#include <algorithm>
#include <limits>
#include <numeric>

#include "codegen/pooling.h"
#include "codegen/statistics.h"
#include "codegen/winograd.h"
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

// Tiles that are computed together: `columns` of a row, or `rows` whole rows of an image, or `images` whole
// images.
struct Block {
  int64_t columns = 1, rows = 1, images = 1;
  int64_t tiles() const { return columns * rows * images; }
};

struct Recipe {
  Block block;
  int vectors = 1;          // of a register tile
  int tiles = 1;            // of a register tile
  int64_t block_tiles = 1;  // block.tiles(), rounded up to register tiles
};

class Schedule {
 public:
  Schedule(Lowering& lowering, const ScheduleOptions& options, NodeId id)
      : lowering_(lowering),
        options_(options),
        body_(lowering.body()),
        node_(body_[id]),
        id_(id),
        shape_(winograd_shape(body_, node_)),
        matrices_(winograd_matrices(shape_.tile)),
        pooled_(pooled_body(body_, {id, 0})),
        statistics_(statistics_body(body_, {id, 0})),
        by_tile_rows_(statistics_ && statistics_->blocks.rows == shape_.tile),
        anchor_(pooled_ ? pooled_->window : Value{id, 0}),
        type_(compute_type(node_.types[0].dtype)),
        transformed_(node_.op == Op::ConvWinogradTransformed),
        lanes_(as_int(std::min<int64_t>(options.lanes(type_), shape_.lanes))),
        width_(as_int(transformed_ ? shape_.image_lanes
                                   : std::gcd<int64_t>(options.lanes(type_), shape_.in_channels))) {}

  // Nothing if not even one tile fits on the stack.
  std::optional<Pipeline> build() {
    if (shape_.lanes % lanes_ || !choose()) return std::nullopt;
    define();
    schedule();
    const Shape& result = body_.type(anchor_).shape;
    if (by_tile_rows_)
      fix_statistics(out_, *statistics_, {result[0], shape_.tiles[0], shape_.tile, result[2], result[3]});
    else if (statistics_)
      fix_statistics(out_, *statistics_, result);
    else
      fix_output(out_, result);
    Pipeline pipeline;
    pipeline.outputs = {out_};
    for (size_t i = 0; i < body_.results.size(); ++i)
      pipeline.order.push_back(as_int(static_cast<int64_t>(i)));
    return pipeline;
  }

 private:
  // Tiles in registers for so many of a block: few that are computed in vain.
  int register_tiles(int64_t tiles) const {
    const int vectors = as_int(shape_.lanes) / lanes_;
    const int most = std::max(1, (options_.vector_registers >= 32 ? 16 : 10) / vectors);
    int best = most;
    for (int t = most; t > most / 2; --t)
      if (ceil_div(tiles, t) * t < ceil_div(tiles, best) * best) best = t;
    return as_int(std::min<int64_t>(best, tiles));
  }

  int64_t stack_bytes(const Block& block) const {
    const int64_t t = register_tiles(block.tiles()), tiles = ceil_div(block.tiles(), t) * t,
                  points = shape_.points * shape_.points;
    int64_t elements = points * tiles * shape_.lanes;
    if (!transformed_)
      elements += points * tiles * shape_.in_channels +
                  (block.rows * shape_.tile + 2) * (block.columns * shape_.tile + 2) * block.images * width_;
    return elements * type_.bytes();
  }

  bool choose() {
    // More tiles than this gain nothing: weights are read once for each block.
    constexpr int64_t kMostTiles = 32;
    // What is computed for one panel should stay in the fast caches.
    const int64_t most_bytes = transformed_ ? kStackBytes * 5 / 8 : kStackBytes;
    const auto fits = [&](const Block& b) {
      return stack_bytes(b) <= most_bytes && (b.tiles() <= kMostTiles || b.tiles() == 1);
    };
    Block block;
    if (stack_bytes(block) > kStackBytes) return false;
    // The largest even part of each axis in turn.
    const auto grow = [&](int64_t Block::*axis, int64_t extent) {
      for (int64_t parts = 1; parts <= extent; ++parts) {
        Block wider = block;
        wider.*axis = ceil_div(extent, parts);
        if (!fits(wider)) continue;
        block = wider;
        break;
      }
      return block.*axis == extent;
    };
    if (grow(&Block::columns, shape_.tiles[1]) && grow(&Block::rows, shape_.tiles[0]))
      grow(&Block::images, shape_.batch);
    // Few blocks share out unevenly: lower ones, as long as they fill register tiles.
    while (!transformed_ && block.images == 1 && block.rows > 1 &&
           shape_.batch * ceil_div(shape_.tiles[0], block.rows) < kParallelPieces &&
           block.columns * ceil_div(block.rows, 2) >= register_tiles(block.tiles()) &&
           !(statistics_ && !by_tile_rows_))
      block.rows = ceil_div(block.rows, 2);
    // What statistics are of is done by one thread.
    if (statistics_ && (block.columns < shape_.tiles[1] || (!by_tile_rows_ && block.rows < shape_.tiles[0])))
      return false;
    recipe_.block = block;
    recipe_.vectors = as_int(shape_.lanes) / lanes_;
    recipe_.tiles = register_tiles(block.tiles());
    recipe_.block_tiles = ceil_div(block.tiles(), recipe_.tiles) * recipe_.tiles;
    return true;
  }

  // Transformed inputs: channel c, tile s of a block, point (i, j).
  Expr input_at(const Expr& c, const Expr& s) {
    if (!transformed_) return freq_(c % width_, s, c / width_, i_, j_, bx_, by_, bn_);
    // A block's tiles lie one after the other.
    const Block& block = recipe_.block;
    const int all = as_int(shape_.num_tiles());
    Expr tile = ((bn_ * as_int(block.images)) * as_int(shape_.tiles[0]) + by_ * as_int(block.rows)) *
                    as_int(shape_.tiles[1]) +
                bx_ * as_int(block.columns) + s;
    if (all % recipe_.block_tiles || recipe_.block_tiles != block.tiles() ||
        shape_.tiles[1] % block.columns || shape_.tiles[0] % block.rows || shape_.batch % block.images)
      tile = Halide::min(tile, all - 1);
    const Expr point = i_ * as_int(shape_.points) + j_;
    const Expr flat = ((c / width_) * as_int(shape_.points * shape_.points) + point) * all * width_ +
                      tile * width_ + c % width_;
    return lowering_.at(node_.operands[0], {Halide::Internal::simplify(flat)});
  }

  void define_input() {
    const Block& block = recipe_.block;
    const int m = as_int(shape_.tile), columns = as_int(block.columns), rows = as_int(block.rows),
              images = as_int(block.images);
    const bool padded = recipe_.block_tiles > block.tiles();
    const auto at_most = [&](const Expr& e, int extent) { return padded ? Halide::min(e, extent - 1) : e; };
    // Where tile s of the block lies.
    const bool one_row = rows == 1 && images == 1, one_image = images == 1;
    const Expr tx = one_row ? at_most(s_, columns) : s_ % columns;
    const Expr ty = rows == 1 ? Expr(0) : one_image ? at_most(s_ / columns, rows) : (s_ / columns) % rows;
    const Expr tn = one_image ? Expr(0) : at_most(s_ / (columns * rows), images);
    Expr n = n_;
    if (shape_.batch % images) n = Halide::min(n_, as_int(shape_.batch) - 1);
    source_(c_, x_, y_, n_, b_) = padded_at(lowering_, node_.operands[0], n, y_ - as_int(shape_.low[0]),
                                            x_ - as_int(shape_.low[1]), b_ * width_ + c_);
    rows_(c_, i_, q_, s_, b_, bx_, by_, bn_) = apply(matrices_.bt, i_, [&](int k) {
      return Expr(
          source_(c_, (bx_ * columns + tx) * m + q_, (by_ * rows + ty) * m + k, bn_ * images + tn, b_));
    });
    freq_(c_, s_, b_, i_, j_, bx_, by_, bn_) =
        apply(matrices_.bt, j_, [&](int k) { return Expr(rows_(c_, i_, k, s_, b_, bx_, by_, bn_)); });
  }

  void define() {
    const Block& block = recipe_.block;
    const int m = as_int(shape_.tile), L = as_int(shape_.lanes), columns = as_int(block.columns),
              rows = as_int(block.rows), images = as_int(block.images);
    if (!transformed_) define_input();
    // A domain of one element leaves no loop.
    Halide::Region region;
    const int chunks = as_int(shape_.in_channels) / width_;
    blocked_ = shape_.in_channels % width_ == 0 && chunks > 1 && width_ > 1;
    if (blocked_)
      region = {{0, width_}, {0, chunks}};
    else
      region = {{0, as_int(shape_.in_channels)}};
    r_ = RDom(region, "r");
    const Expr c = blocked_ ? Expr(r_[1] * width_ + r_[0]) : Expr(r_[0]);
    part_(t_, s_, i_, j_, p_, bx_, by_, bn_) = Halide::Internal::make_zero(type_);
    part_(t_, s_, i_, j_, p_, bx_, by_, bn_) +=
        lowering_.at(node_.operands[1], {p_, i_ * as_int(shape_.points) + j_, c, t_}) * input_at(c, s_);
    prod_(t_, s_, i_, j_, p_, bx_, by_, bn_) = part_(t_, s_, i_, j_, p_, bx_, by_, bn_);
    const Expr s = ((n_ % images) * rows + y_ % rows) * columns + x_ % columns;
    cols_(c_, u_, j_, x_, y_, n_) = apply(matrices_.at, u_, [&](int k) {
      return Expr(prod_(c_ % L, s, k, j_, c_ / L, x_ / columns, y_ / rows, n_ / images));
    });
    tile_(c_, u_, h_, x_, y_, n_) =
        apply(matrices_.at, h_, [&](int k) { return Expr(cols_(c_, u_, k, x_, y_, n_)); });
    // Whatever the shape in which the body looks at an element, it is this one.
    const Expr y = by_tile_rows_ ? Expr(ty_ * m + yi_) : Expr(y_);
    const Expr here = tile_(c_, y % m, x_ % m, x_ / m, y / m, n_);
    lowering_.provide({id_, 0}, [here](const Index&) { return here; });
    if (pooled_) {
      // A tile is made of whole windows, so that its elements need not be stored.
      element_(c_, x_, y_, n_) = lowering_.at(pooled_->operand, {n_, y_, x_, c_});
      lowering_.provide(pooled_->operand, [this](const Index& at) { return Expr(element_(reversed(at))); });
    }
    if (statistics_)
      return define_statistics(
          lowering_, *statistics_, anchor_, out_,
          by_tile_rows_ ? std::vector<Var>{c_, x_, yi_, ty_, n_} : std::vector<Var>{c_, x_, y_, n_},
          {n_, y, x_, c_});
    const std::vector<Expr> values = results_at(lowering_, anchor_, {n_, y_, x_, c_});
    if (values.size() == 1)
      out_(c_, x_, y_, n_) = values[0];
    else
      out_(c_, x_, y_, n_) = Halide::Tuple(values);
  }

  // A tile's vectors of input channels lie far apart, which no processor foresees.
  void prefetch_input(Halide::Stage update) {
    if (!blocked_) return;
    for (size_t i = 0; i < body_.arguments.size(); ++i)
      if (body_.arguments[i].value == node_.operands[0])
        update.prefetch(lowering_.inputs()[i], r_[1], r_[1], 2, Halide::PrefetchBoundStrategy::NonFaulting);
  }

  void schedule() {
    const Block& block = recipe_.block;
    const int m = as_int(shape_.tile), L = as_int(shape_.lanes), a = as_int(shape_.points);
    const int64_t O = shape_.out_channels;
    const Shape& result = body_.type(anchor_).shape;
    // Of a tile.
    const int rows = m / as_int(pooled_ ? pooled_->pooling.rows : 1),
              columns = m / as_int(pooled_ ? pooled_->pooling.columns : 1);
    Var xi("xi"), ci("ci"), cv("cv"), co("co"), so("so"), si("si"), tx("tx"), xo("xo"), yo("yo"), no("no");
    // Halide takes no other tail for stages that read what they have written; here the test folds away.
    const auto tail = [&](int64_t extent, int64_t factor) {
      return extent % factor || statistics_ ? TailStrategy::GuardWithIf : TailStrategy::RoundUp;
    };
    Halide::Stage out = statistics_ ? out_.update(0) : Halide::Stage(out_);
    if (!by_tile_rows_) out.split(y_, ty_, yi_, rows, tail(result[1], rows));
    out.split(x_, tx, xi, columns, tail(result[2], columns))
        .split(ty_, by_, yo, as_int(block.rows), tail(shape_.tiles[0], block.rows))
        .split(tx, bx_, xo, as_int(block.columns), tail(shape_.tiles[1], block.columns))
        .split(n_, bn_, no, as_int(block.images), tail(shape_.batch, block.images))
        .split(c_, p_, co, L, tail(O, L))
        .split(co, cv, ci, lanes_, tail(L, lanes_))
        .vectorize(ci)
        .unroll(xi)
        .unroll(yi_);
    // One loop over all blocks: loops of their own would be copied for their last iterations, with all
    // buffers.
    out.reorder(ci, xi, yi_, cv, xo, yo, no, p_, bx_, by_, bn_).fuse(by_, bn_, bn_).fuse(bx_, bn_, bn_);
    const bool large = options_.parallel && estimate_nanoseconds(body_) > kParallelNanoseconds;
    const bool one_block =
        block.columns == shape_.tiles[1] && block.rows == shape_.tiles[0] && block.images == shape_.batch;
    if (transformed_) {
      out.fuse(bn_, p_, p_);
      if (large) out.parallel(p_);
    } else {
      freq_.compute_at(out_, bn_);
      if (large) out.parallel(one_block ? p_ : bn_);
    }
    prod_.compute_at(out_, p_);
    for (Func* f : {&tile_, &cols_}) {
      f->compute_at(out_, cv).bound_extent(c_, lanes_).vectorize(c_).unroll(u_).bound(u_, 0, m);
      f->bound_extent(x_, 1).bound_extent(y_, 1).bound_extent(n_, 1);
    }
    tile_.bound(h_, 0, m).unroll(h_);
    cols_.bound(j_, 0, a).unroll(j_);
    for (Func* f : {&prod_, &part_}) {
      f->bound(t_, 0, L).bound_extent(p_, 1).bound_extent(bx_, 1).bound_extent(by_, 1).bound_extent(bn_, 1);
      f->vectorize(t_, lanes_).unroll(t_);
    }
    prod_.bound(s_, 0, as_int(recipe_.block_tiles)).bound(i_, 0, a).bound(j_, 0, a);
    // The bound is of s_ alone: what it is split into has other names.
    prod_.split(s_, so, si, recipe_.tiles, TailStrategy::RoundUp).unroll(si);
    prod_.reorder(t_, si, so, j_, i_, p_, bx_, by_, bn_);
    part_.compute_at(prod_, so).bound_extent(s_, recipe_.tiles).unroll(s_);
    Halide::Stage update = part_.update();
    if (blocked_)
      update.reorder(t_, s_, r_[0], r_[1]);
    else if (shape_.in_channels > 1)
      update.reorder(t_, s_, r_[0]);
    update.vectorize(t_, lanes_).unroll(t_).unroll(s_);
    if (transformed_) {
      prefetch_input(update);
      return;
    }
    freq_.bound(c_, 0, width_).bound(s_, 0, as_int(recipe_.block_tiles)).bound(i_, 0, a).bound(j_, 0, a);
    freq_.bound(b_, 0, as_int(shape_.in_channels) / width_);
    freq_.bound_extent(bx_, 1).bound_extent(by_, 1).bound_extent(bn_, 1);
    freq_.vectorize(c_).unroll(i_).unroll(j_).reorder(c_, j_, i_, s_, b_, bx_, by_, bn_);
    rows_.compute_at(freq_, s_).vectorize(c_).unroll(i_).unroll(q_);
    source_.compute_at(freq_, b_).vectorize(c_);
    source_.bound_extent(n_, as_int(block.images));
  }

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Graph& body_;
  const Node& node_;
  const NodeId id_;
  const WinogradShape shape_;
  const WinogradMatrices& matrices_;
  const std::optional<PooledBody> pooled_;
  const std::optional<StatisticsBody> statistics_;
  const bool by_tile_rows_;  // else statistics are of images
  const Value anchor_;       // has the results' shape
  const Halide::Type type_;
  const bool transformed_;  // inputs come transformed
  const int lanes_;         // of a vector of output channels
  const int width_;         // of a vector of input channels
  bool blocked_ = false;
  Recipe recipe_;
  RDom r_;
  // c: channel; x, y, n: column, row (of tiles, within the block) and image; i, j: point; t: lane of panel p;
  // s: tile of block (bx, by, bn); ty, yi: row of tiles and row in it; u, h: row and column in a tile of
  // outputs; q: column in a tile of inputs.
  Var c_{"c"}, x_{"x"}, y_{"y"}, n_{"n"}, b_{"b"}, i_{"i"}, j_{"j"}, t_{"t"}, p_{"p"}, s_{"s"}, u_{"u"},
      h_{"h"}, q_{"q"}, ty_{"ty"}, yi_{"yi"}, bx_{"bx"}, by_{"by"}, bn_{"bn"};
  Func source_{"source"}, rows_{"rows"}, freq_{"freq"}, part_{"part"}, prod_{"prod"}, cols_{"cols"},
      tile_{"tile"}, element_{"element"}, out_{"out"};
};

}  // namespace

Pipeline schedule_winograd(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  NodeId id;
  for (NodeId node : body.nodes())
    if (is_winograd(body[node].op)) id = node;
  NNCC_CHECK(static_cast<bool>(id), "no part of Winograd's convolution in the kernel");
  switch (body[id].op) {
    case Op::ConvWinograd:
    case Op::ConvWinogradTransformed:
      if (auto pipeline = Schedule(lowering, options, id).build()) return *pipeline;
      return schedule_generic(lowering, options);
    case Op::ConvWinogradWeightGradient: {
      const int64_t lanes = winograd_shape(body, body[id]).lanes,
                    vector = options.lanes(compute_type(body[id].types[0].dtype));
      if (lanes > vector && lanes % vector) return schedule_generic(lowering, options);
      return schedule_winograd_weight_gradient(lowering, options, id);
    }
    default:
      if (body.results.size() != 1 || body.results[0].value != Value{id, 0})
        return schedule_generic(lowering, options);
      return schedule_winograd_transform(lowering, options, id);
  }
}

}  // namespace nncc
