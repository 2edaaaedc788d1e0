// Attention and its gradient, head by head: scores never leave the cache. A block of queries has its scores
// computed against panels of keys, turned so that keys lie in lanes, and made weights, which are multiplied
// with the values. Where a query sees no later keys, neither does the loop over panels. The gradient computes
// the weights again; those of a head that fit on the stack are kept there for its three products.
#include <algorithm>
#include <limits>

#include "codegen/elementary.h"
#include "codegen/schedule.h"
#include "ir/attention.h"
#include "ir/diagnostic.h"
#include "ir/memory.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::LoopLevel;
using Halide::RDom;
using Halide::Stage;
using Halide::TailStrategy;
using Halide::Var;
using Halide::VarOrRVar;

namespace {

int as_int(int64_t i) { return static_cast<int>(i); }
TailStrategy tail(int64_t extent, int64_t factor) {
  return extent % factor ? TailStrategy::GuardWithIf : TailStrategy::RoundUp;
}

class Schedule {
 public:
  Schedule(Lowering& lowering, const ScheduleOptions& options, NodeId id);
  Pipeline forward();
  Pipeline gradient();

 private:
  // Of the queries i of block t and the lanes l of panel p: (l, p, i, t, h, b).
  struct Weights {
    Func dot, scores, best, largest, e, sums, total;
    RDom features, along_scores, along_best, along_e, along_sums, across;
  };
  // With respect to the scores; and the weights themselves, normalized.
  struct ScoreGradient {
    Func kept, dot, products, parts, mean, result;
    RDom values, along_kept, along_products, along_parts, along_result, across;
  };
  // Vectors along the columns of a result.
  struct Columns {
    int lanes = 1, vectors = 1;
    int width() const { return lanes * vectors; }
  };

  std::vector<Expr> at(const Expr& p, const Expr& i, const Expr& t) const { return {l_, p, i, t, h_, b_}; }
  Expr zero() const { return Halide::Internal::make_zero(type_); }
  Expr lowest() const { return float_number(-std::numeric_limits<double>::infinity(), type_); }
  // Element (position, column) of operand n in the head at hand.
  Expr operand(size_t n, const Expr& position, const Expr& column) {
    if (s_.axis == 2) return lowering_.at(node_.operands[n], {b_, h_, position, column});
    return lowering_.at(node_.operands[n], {b_, position, h_, column});
  }
  // Keys after the last one are the last one again; what they are multiplied with is 0.
  Expr key_operand(size_t n, const Expr& key, const Expr& column) {
    return operand(n, s_.keys % panel_ ? Halide::min(key, as_int(s_.keys) - 1) : key, column);
  }
  // Query i of block t; likewise.
  Expr query(const Expr& i, const Expr& t) const {
    const Expr q = t * block_ + i;
    return s_.queries % block_ ? Halide::min(q, as_int(s_.queries) - 1) : q;
  }
  RDom panels(const std::string& name, int width = 0) const;
  Expr if_seen(const Expr& score, const Expr& key);
  Columns columns_of(int64_t extent) const;
  bool is_large() const {
    return options_.parallel && estimate_nanoseconds(lowering_.body()) > kParallelNanoseconds;
  }

  Func turned(const std::string& name, size_t n, int64_t columns);
  Weights weights(const std::string& name, size_t q, Func keys);
  void place(Weights& w, const LoopLevel& at);
  void place_product(Func product, Func dot, const RDom& along, const RDom& r, int64_t depth);
  ScoreGradient score_gradient(const std::string& name, Weights& w, Func values);
  void place(ScoreGradient& g, Weights& w, const LoopLevel& at, bool whole);
  Func times_keys(const std::string& name, Func by, size_t n);
  void place_queries(Func out, Func acc, int64_t extent);
  int key_rows() const;
  void place_keys(Func out, Func acc, int64_t extent);
  void place_tile(Func acc, const std::vector<VarOrRVar>& loops, const Columns& columns);
  Expr of_key(const Func& by, const Expr& i, const Expr& t) const;
  Expr is_seen(const Expr& t) const;
  Func key_gradient(const std::string& name, Func by, size_t n, int64_t extent);
  Func key_gradient_by_blocks(const std::string& name, bool of_keys);
  void share(Func out);
  void vectorize(Stage s);
  void vectorize(Stage s, const Var& c, const Columns& columns);
  // A result of so many rows for each head.
  void fix_rows(Func out, int64_t rows, int64_t columns);

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Node& node_;
  const AttentionShape s_;
  const Halide::Type type_;
  const int lanes_;
  int vectors_ = 1, panel_ = 1, panels_ = 1;  // of a panel: vectors and keys; how many panels
  int rows_ = 1, block_ = 1, blocks_ = 1;     // queries of a register tile and of a block; how many blocks
  RDom along_keys_;                           // of the sums of times_keys()
  // l: lane of panel p; c: column; i: query of block t; j: key of tile y; x: row of a result; h, b: head.
  Var l_{"l"}, p_{"p"}, c_{"c"}, i_{"i"}, t_{"t"}, j_{"j"}, y_{"y"}, x_{"x"}, h_{"h"}, b_{"b"}, co_{"co"};
};

Schedule::Schedule(Lowering& lowering, const ScheduleOptions& options, NodeId id)
    : lowering_(lowering),
      options_(options),
      node_(lowering.body()[id]),
      s_(attention_shape(lowering.body(), node_)),
      type_(compute_type(node_.types[0].dtype)),
      lanes_(options.lanes(lowering.body())) {
  vectors_ = s_.keys > lanes_ ? 2 : 1;
  panel_ = vectors_ * lanes_;
  panels_ = as_int(ceil_div(s_.keys, panel_));
  rows_ = as_int(std::min<int64_t>(options_.vector_registers >= 32 ? 8 : 4, s_.queries));
  block_ = rows_;
  blocks_ = as_int(ceil_div(s_.queries, block_));
}

// Those that some query of block t sees, with `width` elements of each.
RDom Schedule::panels(const std::string& name, int width) const {
  Halide::Region region = {{0, panels_}};
  if (width > 0) region.insert(region.begin(), {0, width});
  RDom r(region, name);
  const Expr panel = r[width > 0 ? 1 : 0];
  if (s_.causal) r.where(panel * panel_ <= t_ * block_ + as_int(block_ - 1 + s_.keys - s_.queries));
  return r;
}

// `score`, or -infinity if query i of block t does not see the key.
Expr Schedule::if_seen(const Expr& score, const Expr& key) {
  Expr seen;
  const auto demand = [&](const Expr& e) { seen = seen.defined() ? seen && e : e; };
  const int keys = as_int(s_.keys);
  if (keys % panel_) demand(key < keys);
  if (s_.causal) demand(key <= query(i_, t_) + as_int(s_.keys - s_.queries));
  if (s_.masked) {
    const Value mask = node_.operands.back();
    const Shape& shape = lowering_.body().type(mask).shape;
    Index index{b_, h_, query(i_, t_), keys % panel_ ? Halide::min(key, keys - 1) : key};
    for (size_t axis = 0; axis < index.size(); ++axis)
      if (shape[axis] == 1) index[axis] = 0;
    demand(lowering_.at(mask, index));
  }
  return seen.defined() ? select(seen, score, lowest()) : score;
}

Schedule::Columns Schedule::columns_of(int64_t extent) const {
  Columns columns{lanes_, 1};
  while (extent % columns.lanes) columns.lanes /= 2;
  if (extent % (2 * columns.lanes) == 0) columns.vectors = 2;
  return columns;
}

void Schedule::vectorize(Stage s) {
  if (lanes_ > 1) s.vectorize(l_, lanes_);
  if (vectors_ > 1) s.unroll(l_);
}
void Schedule::vectorize(Stage s, const Var& c, const Columns& columns) {
  if (columns.lanes > 1) s.vectorize(c, columns.lanes);
  if (columns.vectors > 1) s.unroll(c);
}

// Rows of keys or values as columns of vectors of lanes: (lane, column, vector).
Func Schedule::turned(const std::string& name, size_t n, int64_t columns) {
  Func f(name);
  f(l_, c_, p_, h_, b_) = key_operand(n, p_ * lanes_ + l_, c_);
  // Loads along columns, interleaved stores.
  Var cv("cv");
  int w = lanes_;
  while (w > columns) w /= 2;
  f.bound(l_, 0, lanes_).bound(c_, 0, as_int(columns)).bound(p_, 0, panels_ * vectors_);
  f.split(c_, c_, cv, w, columns % w ? TailStrategy::ShiftInwards : TailStrategy::RoundUp)
      .reorder(l_, cv, c_, p_);
  if (w > 1) f.vectorize(cv);
  f.unroll(l_);
  return f;
}

// e^(score - the largest of the row), and its sum over the row. `q` is the operand with the queries.
Schedule::Weights Schedule::weights(const std::string& name, size_t q, Func keys) {
  Weights w{Func(name + "dot"),
            Func(name + "scores"),
            Func(name + "best"),
            Func(name + "largest"),
            Func(name + "e"),
            Func(name + "sums"),
            Func(name + "total"),
            RDom(0, as_int(s_.features), name + "features"),
            panels(name + "along_scores"),
            panels(name + "along_best"),
            panels(name + "along_e"),
            panels(name + "along_sums"),
            RDom(0, panel_, name + "across")};
  const auto here = at(p_, i_, t_);
  const std::vector<Expr> row = {i_, t_, h_, b_}, lane = {l_, i_, t_, h_, b_};
  w.dot(here) = zero();
  w.dot(here) += operand(q, query(i_, t_), w.features) *
                 keys(l_ % lanes_, w.features, p_ * vectors_ + l_ / lanes_, h_, b_);
  w.scores(here) = Halide::undef(type_);
  const auto scored = at(w.along_scores, i_, t_);
  w.scores(scored) = if_seen(w.dot(scored), w.along_scores * panel_ + l_);
  w.best(lane) = lowest();
  w.best(lane) = Halide::max(w.best(lane), w.scores(at(w.along_best, i_, t_)));
  w.largest(row) = lowest();
  w.largest(row) = Halide::max(w.largest(row), w.best(w.across, i_, t_, h_, b_));
  w.e(here) = Halide::undef(type_);
  const auto weighed = at(w.along_e, i_, t_);
  w.e(weighed) = exp_e(w.scores(weighed) - w.largest(row));
  w.sums(lane) = zero();
  w.sums(lane) += w.e(at(w.along_sums, i_, t_));
  w.total(row) = zero();
  w.total(row) += w.sums(w.across, i_, t_, h_, b_);
  return w;
}

// Rows of queries by panels, of sums over `depth` elements, in register tiles.
void Schedule::place_product(Func product, Func dot, const RDom& along, const RDom& r, int64_t depth) {
  Var io("io"), ii("ii");
  product.bound(l_, 0, panel_).bound(p_, 0, panels_).bound(i_, 0, block_);
  Stage update = product.update();
  update.split(i_, io, ii, rows_, TailStrategy::RoundUp).reorder(l_, ii, io, along[0]);
  vectorize(update);
  update.unroll(ii);
  dot.compute_at(product, io).bound_extent(l_, panel_).bound_extent(i_, rows_);
  vectorize(dot);
  dot.unroll(i_);
  if (depth > 1) dot.update().reorder(l_, i_, r[0]);
  vectorize(dot.update());
  dot.update().unroll(i_);
}

void Schedule::place(Weights& w, const LoopLevel& at) {
  w.scores.compute_at(at);
  place_product(w.scores, w.dot, w.along_scores, w.features, s_.features);
  w.e.compute_at(at).bound(l_, 0, panel_).bound(p_, 0, panels_).bound(i_, 0, block_);
  w.e.update().reorder(l_, w.along_e[0], i_);
  vectorize(w.e.update());
  for (const auto& [f, along] : {std::pair(w.best, w.along_best), std::pair(w.sums, w.along_sums)}) {
    Func lanes = f;
    lanes.compute_at(at).bound(l_, 0, panel_).bound(i_, 0, block_);
    vectorize(lanes);
    lanes.update().reorder(l_, along[0], i_);
    vectorize(lanes.update());
  }
  for (Func f : {w.largest, w.total}) {
    f.compute_at(at).bound(i_, 0, block_);
    if (panel_ > 1) f.update().atomic().vectorize(w.across, panel_);
  }
}

void Schedule::fix_rows(Func out, int64_t rows, int64_t columns) {
  const bool heads_first = s_.axis == 2;
  const std::pair<int64_t, int64_t> dims[] = {{columns, 1},
                                              {rows, heads_first ? columns : columns * s_.heads},
                                              {s_.heads, heads_first ? columns * rows : columns},
                                              {s_.batch, columns * rows * s_.heads}};
  Halide::OutputImageParam buffer = out.output_buffer();
  for (int d = 0; d < 4; ++d)
    buffer.dim(d).set_bounds(0, as_int(dims[d].first)).set_stride(as_int(dims[d].second));
}

// Heads among threads. One loop of all heads would be decoded by divisions, which loops of several results in
// one do not survive.
void Schedule::share(Func out) {
  if (is_large()) out.parallel(s_.batch >= std::min<int64_t>(s_.heads, kParallelPieces) ? b_ : h_);
}

// Sums over the keys that the queries of a block see: of `by` times the rows of operand n.
Func Schedule::times_keys(const std::string& name, Func by, size_t n) {
  Func acc(name);
  along_keys_ = panels(name + "_r", panel_);
  const RDom& r = along_keys_;
  acc(c_, i_, t_, h_, b_) = zero();
  acc(c_, i_, t_, h_, b_) += by(r[0], r[1], i_, t_, h_, b_) * key_operand(n, r[1] * panel_ + r[0], c_);
  return acc;
}

// A result with a row for each query, of what times_keys() gave.
void Schedule::place_queries(Func out, Func acc, int64_t extent) {
  fix_rows(out, s_.queries, extent);
  const Columns columns = columns_of(extent);
  const RDom& r = along_keys_;
  Var io("io"), ii("ii"), co("co"), ci("ci");
  out.split(x_, t_, i_, block_, tail(s_.queries, block_))
      .split(i_, io, ii, rows_, TailStrategy::RoundUp)
      .split(c_, co, ci, columns.width(), TailStrategy::RoundUp)
      .reorder(ci, ii, co, io, t_, h_, b_);
  vectorize(out, ci, columns);
  out.unroll(ii);
  share(out);
  acc.compute_at(out, co).bound_extent(c_, columns.width()).bound_extent(i_, rows_);
  vectorize(acc, c_, columns);
  acc.unroll(i_);
  acc.update().reorder(c_, i_, r[0], r[1]);
  vectorize(acc.update(), c_, columns);
  acc.update().unroll(i_);
}

Pipeline Schedule::forward() {
  Func keys = turned("keys", 1, s_.features), out("out");
  Weights w = weights("", 0, keys);
  const Func acc = times_keys("acc", w.e, 2);
  const Expr i = x_ % block_, t = x_ / block_;
  out(c_, x_, h_, b_) = to_storage(acc(c_, i, t, h_, b_) / w.total(i, t, h_, b_), node_.types[0].dtype);
  place_queries(out, acc, s_.values);
  keys.compute_at(out, h_);
  place(w, LoopLevel(out, t_));
  return {{out}, {0}};
}

Schedule::ScoreGradient Schedule::score_gradient(const std::string& name, Weights& w, Func values) {
  ScoreGradient g{Func(name + "kept"),
                  Func(name + "value_dot"),
                  Func(name + "products"),
                  Func(name + "parts"),
                  Func(name + "mean"),
                  Func(name + "ds"),
                  RDom(0, as_int(s_.values), name + "values"),
                  panels(name + "along_kept"),
                  panels(name + "along_products"),
                  panels(name + "along_parts"),
                  panels(name + "along_result"),
                  RDom(0, panel_, name + "across_parts")};
  const auto here = at(p_, i_, t_);
  const std::vector<Expr> row = {i_, t_, h_, b_}, lane = {l_, i_, t_, h_, b_};
  g.kept(here) = Halide::undef(type_);
  const auto kept = at(g.along_kept, i_, t_);
  Expr weight = w.e(kept) / w.total(row);
  // Queries that are there only to fill the block count nothing.
  if (s_.queries % block_) weight = select(t_ * block_ + i_ < as_int(s_.queries), weight, zero());
  g.kept(kept) = weight;
  g.dot(here) = zero();
  g.dot(here) += operand(0, query(i_, t_), g.values) *
                 values(l_ % lanes_, g.values, p_ * vectors_ + l_ / lanes_, h_, b_);
  g.products(here) = Halide::undef(type_);
  const auto product = at(g.along_products, i_, t_);
  g.products(product) = g.dot(product);
  g.parts(lane) = zero();
  const auto part = at(g.along_parts, i_, t_);
  g.parts(lane) += g.kept(part) * g.products(part);
  g.mean(row) = zero();
  g.mean(row) += g.parts(g.across, i_, t_, h_, b_);
  g.result(here) = Halide::undef(type_);
  const auto result = at(g.along_result, i_, t_);
  g.result(result) = g.kept(result) * (g.products(result) - g.mean(row));
  return g;
}

// All blocks of a head at `at`, a loop over heads, or one block at that, a loop over blocks.
void Schedule::place(ScoreGradient& g, Weights& w, const LoopLevel& at, bool whole) {
  for (const auto& [f, along] : {std::pair(g.kept, g.along_kept), std::pair(g.result, g.along_result)}) {
    Func kept = f;
    kept.compute_at(at).bound(l_, 0, panel_).bound(p_, 0, panels_).bound(i_, 0, block_);
    if (whole) kept.bound(t_, 0, blocks_);
    kept.update().reorder(l_, along[0], i_, t_);
    vectorize(kept.update());
  }
  place(w, whole ? LoopLevel(g.kept, t_) : at);
  const LoopLevel block = whole ? LoopLevel(g.result, t_) : at;
  g.products.compute_at(block);
  place_product(g.products, g.dot, g.along_products, g.values, s_.values);
  g.parts.compute_at(block).bound(l_, 0, panel_).bound(i_, 0, block_);
  vectorize(g.parts);
  g.parts.update().reorder(l_, g.along_parts[0], i_);
  vectorize(g.parts.update());
  g.mean.compute_at(block).bound(i_, 0, block_);
  if (panel_ > 1) g.mean.update().atomic().vectorize(g.across, panel_);
}

// Keys of a register tile: a part of a panel.
int Schedule::key_rows() const {
  int rows = options_.vector_registers >= 32 ? 8 : 4;
  while (panel_ % rows) rows /= 2;
  return rows;
}

// A result with a row for each key, of what acc(column, key of a tile, tile) sums up.
void Schedule::place_keys(Func out, Func acc, int64_t extent) {
  const int rows = key_rows();
  out(c_, x_, h_, b_) = to_storage(acc(c_, x_ % rows, x_ / rows, h_, b_), node_.types[0].dtype);
  fix_rows(out, s_.keys, extent);
  const Columns columns = columns_of(extent);
  Var ji("ji"), jo("jo"), ci("ci");
  out.split(x_, jo, ji, rows, tail(s_.keys, rows))
      .split(c_, co_, ci, columns.width(), TailStrategy::RoundUp)
      .reorder(ci, ji, co_, jo, h_, b_);
  vectorize(out, ci, columns);
  out.unroll(ji);
  share(out);
}

// In registers: a tile of keys, and some of the columns.
void Schedule::place_tile(Func acc, const std::vector<VarOrRVar>& loops, const Columns& columns) {
  acc.bound_extent(c_, columns.width()).bound(j_, 0, key_rows());
  vectorize(acc, c_, columns);
  acc.unroll(j_);
  std::vector<VarOrRVar> order = {c_, j_};
  order.insert(order.end(), loops.begin(), loops.end());
  acc.update().reorder(order);
  vectorize(acc.update(), c_, columns);
  acc.update().unroll(j_);
}

// Element (key j of tile y, query i of block t) of weights or their gradient.
Expr Schedule::of_key(const Func& by, const Expr& i, const Expr& t) const {
  const int rows = key_rows(), tiles = panel_ / rows;
  return by((y_ % tiles) * rows + j_, y_ / tiles, i, t, h_, b_);
}
// Whether a query of block t sees a key of tile y.
Expr Schedule::is_seen(const Expr& t) const {
  return t * block_ + as_int(block_ - 1 + s_.keys - s_.queries) >= y_ * key_rows();
}

// Sums over the queries that see a key of `by` times the rows of operand n; `by` has all of a head.
Func Schedule::key_gradient(const std::string& name, Func by, size_t n, int64_t extent) {
  Func acc(name + "_acc"), out(name);
  RDom r({{0, block_}, {0, blocks_}}, name + "_r");
  if (s_.causal) r.where(is_seen(r[1]));
  acc(c_, j_, y_, h_, b_) = zero();
  acc(c_, j_, y_, h_, b_) += of_key(by, r[0], r[1]) * operand(n, query(r[0], r[1]), c_);
  place_keys(out, acc, extent);
  acc.compute_at(out, co_);
  place_tile(acc, {r[0], r[1]}, columns_of(extent));
  return out;
}

// The same, where only one block of `by` at a time is there: sums wait in memory.
Func Schedule::key_gradient_by_blocks(const std::string& name, bool of_keys) {
  const size_t n = of_keys ? 1 : 0;
  const int64_t extent = of_keys ? s_.features : s_.values;
  Func keys = turned(name + "_keys", 2, s_.features), values = turned(name + "_values", 3, s_.values);
  Weights w = weights(name + "_", 1, keys);
  ScoreGradient g = score_gradient(name + "_", w, values);
  Func part(name + "_part"), sum(name + "_sum"), out(name);
  const RDom r(0, block_, name + "_r");
  part(c_, j_, y_, t_, h_, b_) = zero();
  part(c_, j_, y_, t_, h_, b_) += of_key(of_keys ? g.result : g.kept, r, t_) * operand(n, query(r, t_), c_);
  RDom rt(0, blocks_, name + "_rt");
  if (s_.causal) rt.where(is_seen(rt));
  sum(c_, j_, y_, h_, b_) = zero();
  sum(c_, j_, y_, h_, b_) += part(c_, j_, y_, rt, h_, b_);
  place_keys(out, sum, extent);
  const Columns columns = columns_of(extent);
  const int rows = key_rows();
  sum.compute_at(out, h_).bound(c_, 0, as_int(extent)).bound(j_, 0, rows);
  sum.bound(y_, 0, as_int(ceil_div(s_.keys, rows)));
  Var ci("ci");
  sum.update().split(c_, co_, ci, columns.width(), TailStrategy::RoundUp).reorder(ci, j_, co_, y_, rt.x);
  vectorize(sum.update(), ci, columns);
  sum.update().unroll(j_);
  part.compute_at(sum, co_);
  place_tile(part, {r.x}, columns);
  keys.compute_at(out, h_);
  if (of_keys) values.compute_at(out, h_);
  place(g, w, LoopLevel(sum, rt.x), false);
  return out;
}

Pipeline Schedule::gradient() {
  const bool whole = s_.stack_bytes(true, node_.types[0].dtype) <= kMostAttentionStack;
  Func keys = turned("keys", 2, s_.features), values = turned("values", 3, s_.values);
  Weights w = weights("", 1, keys);
  ScoreGradient g = score_gradient("", w, values);
  const Func acc = times_keys("acc", g.result, 2);
  Func dq("dq");
  dq(c_, x_, h_, b_) = to_storage(acc(c_, x_ % block_, x_ / block_, h_, b_), node_.types[0].dtype);
  place_queries(dq, acc, s_.features);
  keys.compute_at(dq, h_);
  values.compute_at(dq, h_);
  place(g, w, LoopLevel(dq, whole ? h_ : t_), whole);
  if (!whole)
    return {{dq, key_gradient_by_blocks("dk", true), key_gradient_by_blocks("dv", false)}, {0, 1, 2}};
  Func dk = key_gradient("dk", g.result, 1, s_.features), dv = key_gradient("dv", g.kept, 0, s_.values);
  // One loop over the heads: each has its scores once.
  dk.compute_with(dq, h_);
  dv.compute_with(dq, h_);
  return {{dq, dk, dv}, {0, 1, 2}};
}

}  // namespace

Pipeline schedule_attention(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  NodeId id;
  for (NodeId node : body.nodes())
    if (is_attention(body[node].op)) id = node;
  NNCC_CHECK(static_cast<bool>(id), "no attention in the kernel");
  Schedule schedule(lowering, options, id);
  return body[id].op == Op::Attention ? schedule.forward() : schedule.gradient();
}

}  // namespace nncc
