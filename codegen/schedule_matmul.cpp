// One product out[.., m, n] = sum over k of a[.., m, k] b[.., k, n], with what follows it done in registers.
// A register tile of `vectors` x `rows` runs over all of k: operands come from cache fast enough that
// blocking k would only cost the sums' traffic. Columns whose neighbours do not lie together (transposed b,
// odd widths) are packed into panels [n / lanes][k][lanes] on the way.
#include <algorithm>
#include <functional>
#include <limits>

#include "codegen/schedule.h"
#include "ir/diagnostic.h"
#include "ir/memory.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

// How a product is computed.
enum class ProductForm {
  Tiles,   // lanes along n
  Dot,     // both operands contiguous along k, few rows or columns: lanes along k, summed at the end
  Swap,    // few columns, a contiguous along m: lanes along m
  Blocks,  // few rows, large b: blocks of k, sums kept in cache
};
struct Recipe {
  ProductForm form = ProductForm::Tiles;
  int lanes = 16;
  int vectors = 4, rows = 4;  // the register tile
  bool pack = false;
  int depth = 0;   // Blocks: of k
  int unroll = 1;  // of k
  bool columns_outermost = true;
};

struct Product {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  bool transpose_a = false, transpose_b = false;
  bool packed = false;  // b is in panels
  int panel_lanes = 0;
  Halide::Type type;
};

// The measured choices. Zen 4 issues one 64-byte multiply-add a cycle: 8 to 16 sums in flight are enough;
// with 16 registers 12.
Recipe choose(const Product& p, const ScheduleOptions& options) {
  Recipe r;
  const int V = r.lanes = options.lanes(p.type);
  // One row or column lies in memory the same way whichever it is called.
  const bool ta = p.transpose_a && p.m > 1, tb = p.transpose_b || p.n == 1;
  const bool few_registers = options.vector_registers < 32;
  const int64_t b_bytes = p.n * p.k * p.type.bytes();
  if (p.packed) r.lanes = p.panel_lanes;
  if (!p.packed && tb && !ta && (p.m <= 16 || p.n <= 16) && p.k % V == 0 && p.type.is_float()) {
    r.form = ProductForm::Dot;
    r.rows = p.m % 4 == 0 ? 4 : 1;
    r.vectors = r.rows == 1 ? 8 : 4;
    if (p.n == 1) r.rows = static_cast<int>(std::min<int64_t>(p.m, 8));
    r.unroll = p.k % (2 * V) == 0 ? 2 : 1;
    if (p.n % 5 == 0 && r.rows == 4 && !few_registers) r.vectors = 5;
    while (p.n % r.vectors) r.vectors /= 2;
    return r;
  }
  if (!p.packed && ta && !p.transpose_b && p.n < V && p.m % (2 * V) == 0 && p.k > 4) {
    r.form = ProductForm::Swap;
    r.vectors = 2;
    return r;
  }
  if (p.n < V && !p.packed && !p.transpose_b && (p.m < 2 * V || p.n <= 4)) {
    // A narrow vector as it is: packing would cost more than the product.
    r.lanes = static_cast<int>(p.n);
    r.vectors = 1;
    r.rows = static_cast<int>(std::min<int64_t>(p.m, few_registers ? 8 : 16));
    return r;
  }
  int64_t best = std::numeric_limits<int64_t>::max();
  // Long panels come from the second-level cache: the fewer vectors of them for each row, the better.
  const bool long_panels = p.packed && p.m > 1 && 4 * r.lanes * p.k * p.type.bytes() > (64 << 10);
  const std::vector<int> widths = few_registers ? std::vector{2, 3, 1}
                                  : long_panels ? std::vector{2, 3, 4, 1}
                                                : std::vector{4, 2, 3, 1};
  for (int v : widths) {
    int64_t padded = ceil_div(p.n, int64_t{r.lanes} * v) * v;
    if (v == 1 && p.n > r.lanes) ++padded;  // a broadcast for each vector: only where it saves something
    if (padded < best) best = padded, r.vectors = v;
  }
  // One row only reads b. Panels are read as fast four at a time, which leaves pieces for several threads.
  if (p.m == 1 && p.n % (16 * r.lanes) == 0 && !few_registers) r.vectors = p.packed ? 4 : 16;
  const auto rows_range = [&](int v) -> std::pair<int, int> {
    if (few_registers) return v == 3 ? std::pair(3, 4) : v == 2 ? std::pair(4, 6) : std::pair(6, 12);
    return v == 4 ? std::pair(4, 5) : v == 3 ? std::pair(5, 8) : v == 2 ? std::pair(6, 8) : std::pair(8, 16);
  };
  const auto [least, most] = rows_range(r.vectors);
  double cost = 1e9;
  r.rows = most;
  for (int rows = most; rows >= least;
       --rows) {  // the last tile of rows moves inwards: some are computed twice
    const double c = static_cast<double>(ceil_div(p.m, rows) * rows) / static_cast<double>(p.m);
    if (c < cost - 1e-9) cost = c, r.rows = rows;
  }
  r.rows = static_cast<int>(std::min<int64_t>(r.rows, p.m));
  if (p.packed) return r;
  if (p.transpose_b)
    r.pack = true;
  else if (p.n % V)
    r.pack = p.m >= 16 || p.n < V;
  else if (p.m <= 16 && b_bytes > (1 << 20) && p.k % 16 == 0 && p.m * p.n * p.type.bytes() <= kStackBytes &&
           p.batch == 1) {
    r.form = ProductForm::Blocks;
    r.depth = 16;
    r.vectors = p.m == 1 ? 16 : 2;
    while (p.n % (r.vectors * V)) r.vectors /= 2;
    r.unroll = p.m == 1 ? 1 : 16;
    r.rows = static_cast<int>(p.m % 8 == 0 ? 8 : std::min<int64_t>(p.m, few_registers ? 6 : 8));
    return r;
  } else {
    r.pack = p.m >= 256 && p.k >= 256 && p.n >= 512 && !(ta && p.m < 512);
  }
  if (ta && p.n >= 1024 && p.k <= 64) {  // long rows are written
    r.columns_outermost = false;
    r.vectors = 2;
    r.rows = static_cast<int>(std::min<int64_t>(few_registers ? 6 : 8, p.m));
    r.pack = r.pack || (p.n % V != 0);
  } else if (ta && p.m >= 512 && p.k >= 512 && p.n >= 512 && !few_registers) {
    r.vectors = 3, r.rows = 8;
  }
  if (p.n % V && !r.pack)
    while (r.vectors > 1 && int64_t{r.vectors} * V > p.n) --r.vectors;
  // Panels lie on the stack; with those of a last tile that is not full there are two.
  const auto fits = [&](int vectors) {
    const int64_t columns = int64_t{vectors} * V;
    return columns * p.k * p.type.bytes() <= kStackBytes - (p.n % columns ? 4 << 10 : 0);
  };
  while (r.pack && r.vectors > 1 && !fits(r.vectors)) --r.vectors;
  if (r.pack && !fits(r.vectors)) {
    r.pack = false;
    r.lanes = static_cast<int>(std::min<int64_t>(V, p.n));
  }
  return r;
}

class Schedule {
 public:
  Schedule(Lowering& lowering, const ScheduleOptions& options)
      : lowering_(lowering), options_(options), body_(lowering.body()) {
    for (NodeId id : body_.nodes())
      if (op_info(body_[id].op).has(Contraction)) node_ = id;
    NNCC_CHECK(static_cast<bool>(node_), "no product in the kernel");
    const Node& node = body_[node_];
    const Shape& shape = node.types[0].shape;
    const TensorType& a = body_.type(node.operands[0]);
    product_.m = shape[shape.size() - 2];
    product_.n = shape[shape.size() - 1];
    for (size_t i = 0; i + 2 < shape.size(); ++i) product_.batch *= shape[i];
    product_.transpose_a = node.attributes.boolean(Attr::TransposeA);
    product_.k = a.shape[a.rank() - (product_.transpose_a ? 2 : 1)];
    product_.packed = node.op == Op::MatMulPacked;
    if (product_.packed)
      product_.panel_lanes = static_cast<int>(body_.type(node.operands[1]).shape[2]);
    else
      product_.transpose_b = node.attributes.boolean(Attr::TransposeB);
    product_.type = compute_type(node.types[0].dtype);
    recipe_ = choose(product_, options);
  }

  Pipeline build() {
    switch (recipe_.form) {
      case ProductForm::Tiles:
        tiles();
        break;
      case ProductForm::Dot:
        dot();
        break;
      case ProductForm::Swap:
        swap();
        break;
      case ProductForm::Blocks:
        blocks();
        break;
    }
    fix_output(out_, {product_.batch, product_.m, product_.n});
    Pipeline pipeline;
    pipeline.outputs = {out_};
    for (size_t i = 0; i < body_.results.size(); ++i) pipeline.order.push_back(static_cast<int>(i));
    return pipeline;
  }

 private:
  Index batch_index(const Expr& b) {
    const Shape& shape = body_[node_].types[0].shape;
    return lowering_.unflatten(Shape(shape.begin(), shape.end() - 2), product_.batch == 1 ? Expr(0) : b);
  }
  Expr a_at(const Expr& b, const Expr& m, const Expr& k) {
    Index index = batch_index(b);
    index.push_back(product_.transpose_a ? k : m);
    index.push_back(product_.transpose_a ? m : k);
    return counted_at(lowering_.at(body_[node_].operands[0], index), {k});
  }
  Expr b_at(const Expr& b, const Expr& k, const Expr& n) {
    const Value v = body_[node_].operands[1];
    if (product_.packed) {
      // The last tile may be wider than what is left of the panels.
      const int panels = static_cast<int>(ceil_div(product_.n, product_.panel_lanes));
      const Expr panel = panels % recipe_.vectors ? Halide::min(n / product_.panel_lanes, panels - 1)
                                                  : n / product_.panel_lanes;
      return lowering_.at(v, {panel, k, n % product_.panel_lanes});
    }
    Index index = batch_index(b);
    index.push_back(product_.transpose_b ? n : k);
    index.push_back(product_.transpose_b ? k : n);
    return lowering_.at(v, index);
  }

  // out(n, m, b) from `sum` of the same coordinates, through what the body does with it.
  void define_output(const std::function<Expr(const Expr& n, const Expr& m, const Expr& b)>& sum) {
    const Shape& shape = body_[node_].types[0].shape;
    // Whatever the shape in which the body looks at an element, it is this one. Said in other words, Halide
    // would not see how much of the sum is needed.
    const Expr here = sum(n_, m_, product_.batch == 1 ? Expr(0) : Expr(b_));
    lowering_.provide({node_, 0}, [here](const Index&) { return here; });
    Index where = batch_index(b_);
    where.push_back(m_);
    where.push_back(n_);
    std::vector<Expr> values;
    for (const Graph::Result& result : body_.results)
      values.push_back(
          lowering_.stored_at(result.value, lowering_.reshape(shape, body_.type(result.value).shape, where)));
    if (values.size() == 1)
      out_(n_, m_, b_) = values[0];
    else
      out_(n_, m_, b_) = Halide::Tuple(values);
  }

  void tiles();
  void dot();
  void swap();
  void blocks();
  void parallelize(int column_tiles, int row_tiles);
  Func pack(int columns_per_tile);

  int M() const { return static_cast<int>(product_.m); }
  int N() const { return static_cast<int>(product_.n); }
  int K() const { return static_cast<int>(product_.k); }
  bool is_large() const { return options_.parallel && estimate_nanoseconds(body_) > kParallelNanoseconds; }
  Expr zero() const { return Halide::Internal::make_zero(product_.type); }

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Graph& body_;
  NodeId node_;
  Product product_;
  Recipe recipe_;
  Var n_{"n"}, m_{"m"}, b_{"b"}, ni_{"ni"}, mi_{"mi"}, no_{"no"}, mo_{"mo"}, l_{"l"}, k_{"k"}, p_{"p"},
      task_{"task"}, mb_{"mb"};
  Func out_{"out"}, acc_{"acc"};
};

// Panels of b: (lane, k, panel, batch).
Func Schedule::pack(int columns_per_tile) {
  const int V = recipe_.lanes,
            panels = static_cast<int>(ceil_div(N(), columns_per_tile)) * (columns_per_tile / V);
  Func packed("packed");
  const Expr column = p_ * V + l_;
  packed(l_, k_, p_, b_) = b_at(b_, k_, panels * V > N() ? Halide::min(column, N() - 1) : column);
  packed.bound(l_, 0, V).bound(k_, 0, K()).bound_extent(p_, recipe_.vectors).bound_extent(b_, 1);
  if (product_.transpose_b) {
    // Blocks of lanes x w are turned in registers: loads along k, interleaved stores.
    Var kv("kv");
    const int w = K() >= V ? V : K() >= 8 ? 8 : K() >= 4 ? 4 : 1;
    packed.split(k_, k_, kv, w, K() % w ? TailStrategy::ShiftInwards : TailStrategy::RoundUp)
        .reorder(l_, kv, k_, p_);
    packed.vectorize(kv).unroll(l_);
  } else {
    packed.reorder(l_, p_, k_).vectorize(l_);
  }
  return packed;
}

// Pieces of the loops over tiles for several threads, outermost.
void Schedule::parallelize(int column_tiles, int row_tiles) {
  if (!is_large()) return;
  if (product_.batch >= kParallelPieces) {
    out_.parallel(b_);
    return;
  }
  const int pieces_wanted = static_cast<int>(ceil_div(kParallelPieces, product_.batch));
  const int row_pieces =
      static_cast<int>(std::clamp<int64_t>(ceil_div(pieces_wanted, column_tiles), 1, std::max(1, M() / 48)));
  if (row_pieces > 1) {
    const int step = static_cast<int>(ceil_div(row_tiles, row_pieces));
    out_.split(mo_, mb_, mo_, step, row_tiles % step ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
    out_.reorder(ni_, mi_, mo_, no_, mb_, b_).fuse(mb_, b_, mb_).fuse(no_, mb_, no_);
  } else {
    out_.reorder(ni_, mi_, mo_, no_, b_).fuse(no_, b_, no_);
  }
  out_.parallel(no_);
}

void Schedule::tiles() {
  const int V = recipe_.lanes, NR = recipe_.vectors * V, rows = recipe_.rows;
  Func packed;
  if (recipe_.pack) packed = pack(NR);
  const RDom r(0, K(), "r");
  acc_(n_, m_, b_) = zero();
  acc_(n_, m_, b_) +=
      a_at(b_, m_, r) * (recipe_.pack ? Expr(packed(n_ % V, r, n_ / V, b_)) : b_at(b_, r, n_));
  define_output([&](const Expr& n, const Expr& m, const Expr& batch) { return acc_(n, m, batch); });
  // In panels the last columns exist whatever n is; elsewhere tiles move inwards.
  const bool panels = recipe_.pack || product_.packed;
  const TailStrategy columns = N() % NR == 0        ? TailStrategy::RoundUp
                               : panels || N() < NR ? TailStrategy::GuardWithIf
                                                    : TailStrategy::ShiftInwards;
  const TailStrategy tail = M() % rows == 0 ? TailStrategy::RoundUp : TailStrategy::ShiftInwards;
  out_.split(n_, no_, ni_, NR, columns).split(m_, mo_, mi_, rows, tail);
  const int column_tiles = static_cast<int>(ceil_div(N(), NR)),
            row_tiles = static_cast<int>(ceil_div(M(), rows));
  if (recipe_.columns_outermost) {
    out_.reorder(ni_, mi_, mo_, no_, b_);
    parallelize(column_tiles, row_tiles);
  } else {
    out_.reorder(ni_, mi_, no_, mo_, b_);
    if (is_large()) out_.fuse(mo_, b_, mo_).parallel(mo_);
  }
  if (columns == TailStrategy::GuardWithIf)
    out_.vectorize(ni_, V, TailStrategy::GuardWithIf).unroll(ni_).unroll(mi_);
  else if (V > 1)
    out_.vectorize(ni_, V).unroll(ni_).unroll(mi_);
  else
    out_.unroll(ni_).unroll(mi_);
  const Var at = recipe_.columns_outermost ? mo_ : no_;
  acc_.compute_at(out_, at).bound_extent(n_, NR).bound_extent(m_, rows);
  acc_.unroll(m_);
  // A domain of one element leaves no loop.
  if (K() > 1) acc_.update().reorder(n_, m_, r);
  acc_.update().unroll(m_);
  if (V > 1)
    acc_.vectorize(n_, V).unroll(n_), acc_.update().vectorize(n_, V).unroll(n_);
  else
    acc_.unroll(n_), acc_.update().unroll(n_);
  if (columns == TailStrategy::GuardWithIf) acc_.align_bounds(n_, V);
  if (K() > 1 && K() <= 16) acc_.update().unroll(r);
  if (recipe_.pack) {
    if (recipe_.columns_outermost)
      packed.compute_at(out_, no_);
    else
      packed.compute_at(out_, no_);
  }
}

void Schedule::dot() {
  const int V = recipe_.lanes;
  Func sum("sum");
  const RDom r(0, K() / V, "r"), rl(0, V, "rl");
  acc_(l_, n_, m_, b_) = zero();
  acc_(l_, n_, m_, b_) += a_at(b_, m_, r * V + l_) * b_at(b_, r * V + l_, n_);
  sum(n_, m_, b_) = zero();
  sum(n_, m_, b_) += acc_(rl, n_, m_, b_);
  define_output([&](const Expr& n, const Expr& m, const Expr& batch) { return sum(n, m, batch); });
  const auto tail = [](int extent, int factor) {
    return extent % factor ? TailStrategy::ShiftInwards : TailStrategy::RoundUp;
  };
  out_.split(n_, no_, ni_, recipe_.vectors, tail(N(), recipe_.vectors))
      .split(m_, mo_, mi_, recipe_.rows, tail(M(), recipe_.rows));
  out_.reorder(ni_, mi_, mo_, no_, b_).unroll(ni_).unroll(mi_);
  if (is_large()) {
    const int tiles = N() / recipe_.vectors;
    if (tiles >= 2 * kParallelPieces) {
      const int step = static_cast<int>(ceil_div(tiles, kParallelPieces));
      out_.split(no_, task_, no_, step, tiles % step ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
          .parallel(task_);
    } else {
      out_.fuse(no_, b_, no_).parallel(no_);
    }
  }
  sum.compute_at(out_, mo_).unroll(n_).unroll(m_);
  sum.update().unroll(n_).unroll(m_).atomic().vectorize(rl);
  acc_.compute_at(out_, mo_).vectorize(l_).unroll(n_).unroll(m_);
  acc_.update().reorder(l_, n_, m_, r).vectorize(l_).unroll(n_).unroll(m_);
  if (recipe_.unroll > 1) acc_.update().unroll(r, recipe_.unroll);
}

void Schedule::swap() {
  const int V = recipe_.lanes;
  const RDom r(0, K(), "r");
  acc_(m_, n_, b_) = zero();
  acc_(m_, n_, b_) += a_at(b_, m_, r) * b_at(b_, r, n_);
  define_output([&](const Expr& n, const Expr& m, const Expr& batch) { return acc_(m, n, batch); });
  out_.bound(n_, 0, N()).split(m_, mo_, mi_, V * recipe_.vectors, TailStrategy::RoundUp);
  out_.reorder(n_, mi_, mo_, b_).vectorize(mi_, V).unroll(n_);
  if (is_large()) out_.fuse(mo_, b_, mo_).parallel(mo_);
  acc_.compute_at(out_, mo_).vectorize(m_, V).unroll(m_).unroll(n_);
  acc_.update().reorder(m_, n_, r).vectorize(m_, V).unroll(m_).unroll(n_);
}

void Schedule::blocks() {
  const int V = recipe_.lanes, NR = recipe_.vectors * V, rows = recipe_.rows;
  Var t("t");
  Func sum("sum");
  const RDom r(0, recipe_.depth, "r"), rk(0, K() / recipe_.depth, "rk");
  const Expr k = t * recipe_.depth + r;
  acc_(n_, m_, b_, t) = zero();
  acc_(n_, m_, b_, t) += a_at(b_, m_, k) * b_at(b_, k, n_);
  sum(n_, m_, b_) = zero();
  sum(n_, m_, b_) += acc_(n_, m_, b_, rk);
  define_output([&](const Expr& n, const Expr& m, const Expr& batch) { return sum(n, m, batch); });
  Halide::Stage update = sum.update();
  Halide::Var piece("piece");
  update.split(n_, no_, ni_, NR, TailStrategy::RoundUp)
      .split(m_, mo_, mi_, rows, M() % rows ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
      .reorder(ni_, mi_, mo_, no_, b_, rk.x);
  update.vectorize(ni_, V).unroll(ni_).unroll(mi_);
  acc_.compute_at(sum, mo_).vectorize(n_, V).unroll(n_).unroll(m_);
  acc_.update().reorder(n_, m_, b_, t, r).vectorize(n_, V).unroll(n_).unroll(m_);
  if (recipe_.unroll > 1) acc_.update().unroll(r, recipe_.unroll);
  sum.vectorize(n_, V, TailStrategy::RoundUp);
  out_.vectorize(n_, V, TailStrategy::RoundUp);
  if (is_large() && N() >= 4 * NR) {
    // Each piece of the columns on its own.
    const int step = static_cast<int>(ceil_div(N() / NR, kParallelPieces)) * NR;
    out_.split(n_, piece, n_, step, N() % step ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .reorder(n_, m_, b_, piece)
        .parallel(piece);
    sum.compute_at(out_, piece);
  } else {
    sum.compute_root();
  }
}

}  // namespace

Pipeline schedule_matmul(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  for (NodeId id : body.nodes())
    if (op_info(body[id].op).has(Contraction) && is_long_product(body, id, options))
      return schedule_long_product(lowering, options, id);
  return Schedule(lowering, options).build();
}

}  // namespace nncc
