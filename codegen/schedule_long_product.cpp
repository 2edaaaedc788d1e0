// A product out[m, n] = sum over k of a[k, m] b[k, n] of many k: the gradient of a layer's weights over a
// large batch. Rows of k are few elements of each operand, far apart, so that they are taken in blocks of k:
// what a block of sums reads of both operands stays in the fast caches for all its register tiles. The sums
// lie on the stack. Few of them are summed in slabs of k, for several threads, which are added in the end.
#include <algorithm>

#include "codegen/schedule.h"
#include "ir/memory.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

// Of the sums of one task, and of what they read for one block of k along the lanes.
constexpr int64_t kSumBytes = 96 << 10;
constexpr int64_t kPanelBytes = 32 << 10;
constexpr int64_t kLeastDepth = 512;

struct Extents {
  int64_t m, n, k;
};
Extents extents_of(const Graph& body, const Node& node) {
  const Shape& a = body.type(node.operands[0]).shape;
  const Shape& b = body.type(node.operands[1]).shape;
  return {a[a.size() - 1], b[b.size() - 1], b[b.size() - 2]};
}

// x: the axis along lanes, n unless m fills more of them; y: the other.
struct Recipe {
  bool swapped = false;
  int64_t X = 0, Y = 0, K = 0;
  int64_t lanes = 1;
  int64_t width = 0, rows = 0;       // of a register tile
  int64_t block_x = 0, block_y = 0;  // of the sums of a task, in whole register tiles
  int64_t blocks_x = 0, blocks_y = 0;
  int64_t depth = 0, steps = 0;  // blocks of k, of one slab
  int64_t slabs = 1;
  // What is read for a block of k is copied first, as rows that lie so far apart share few lines of the
  // fastest cache.
  bool pack_x = false, pack_y = false;

  Recipe(const Extents& e, int64_t V, int64_t bytes, int registers) : K(e.k), lanes(V) {
    swapped = e.n < V ? e.m >= V : ceil_div(e.n, V) * V > 2 * e.n && e.m >= V;
    X = swapped ? e.m : e.n, Y = swapped ? e.n : e.m;
    const int64_t sums = registers >= 32 ? 16 : 8, most_x = V * 16;
    // Blocks along x begin where the last one still has all its elements.
    blocks_x = ceil_div(X, most_x);
    block_x = align_up(ceil_div(X, blocks_x), V);
    if (block_x > X) blocks_x = 2, block_x = align_up(ceil_div(X, 2), V);
    const int64_t vectors = block_x / V;
    int64_t v = 1;
    for (int64_t d = 1; d <= 4; ++d)
      if (vectors % d == 0 && d * 2 <= sums) v = d;
    width = v * V;
    rows = std::min(Y, v == 4 ? sums / 4 + 1 : sums / v);
    for (int64_t r = rows; r > (rows + 1) / 2; --r)
      if (align_up(Y, r) < align_up(Y, rows)) rows = r;
    block_y = std::max(rows, std::min<int64_t>(128, kSumBytes / (block_x * bytes)) / rows * rows);
    block_y = align_up(ceil_div(Y, ceil_div(Y, block_y)), rows);
    blocks_y = ceil_div(Y, block_y);
    depth = std::clamp<int64_t>(kPanelBytes / (std::min<int64_t>(block_x, 4 * width) * bytes), 64, 256);
    pack_x = X * bytes % 2048 == 0 && block_y >= 8 * rows;
    pack_y = pack_x && Y * bytes % 4096 == 0;
    if (pack_x) depth = kPanelBytes / (width * bytes);
    const int64_t tasks = blocks_x * blocks_y, all = tasks * block_x * block_y * bytes;
    if (tasks < kParallelPieces / 2)
      slabs = std::clamp<int64_t>(std::min(kStackBytes / 2 / all, K / (2 * depth)), 1, kParallelPieces);
    steps = ceil_div(K, depth * slabs);
    slabs = ceil_div(K, depth * steps);
  }
};

}  // namespace

bool is_long_product(const Graph& body, NodeId id, const ScheduleOptions& options) {
  const Node& node = body[id];
  if (node.op != Op::MatMul || !node.attributes.boolean(Attr::TransposeA) ||
      node.attributes.boolean(Attr::TransposeB))
    return false;
  const Shape& shape = node.types[0].shape;
  const Extents e = extents_of(body, node);
  if (num_elements(shape) != e.m * e.n) return false;
  return e.k >= kLeastDepth && std::max(e.m, e.n) >= options.lanes(compute_type(node.types[0].dtype));
}

Pipeline schedule_long_product(Lowering& lowering, const ScheduleOptions& options, NodeId id) {
  const Graph& body = lowering.body();
  const Node& node = body[id];
  const Extents e = extents_of(body, node);
  const Halide::Type type = compute_type(node.types[0].dtype);
  const Recipe recipe(e, options.lanes(type), type.bytes(), options.vector_registers);
  const auto number = [](int64_t i) { return static_cast<int>(i); };
  const int X = number(recipe.X), Y = number(recipe.Y), K = number(recipe.K), V = number(recipe.lanes),
            BX = number(recipe.block_x), BY = number(recipe.block_y), depth = number(recipe.depth),
            steps = number(recipe.steps), slabs = number(recipe.slabs), blocks_x = number(recipe.blocks_x);
  const Shape& shape = node.types[0].shape;

  // Column i of block u, and row j of block w, which are counted in vain where there is none.
  Var n("n"), m("m"), i("i"), u("u"), j("j"), w("w"), s("s"), t("t");
  Func acc("acc"), sum("sum"), out("out");
  const Expr first = blocks_x * BX > X ? Halide::min(u * BX, X - BX) : Expr(u * BX);
  const Expr x = blocks_x == 1 ? Expr(i) : first + i;
  Expr y = w * BY + j;
  if (recipe.blocks_y * BY > Y) y = Halide::min(y, Y - 1);
  RDom r(0, depth, "r");
  const Expr k = t * depth + r;
  if (int64_t{depth} * steps * slabs > K) r.where(k < K);
  const auto operand = [&](int which, const Expr& column, const Expr& row) {
    Index index(body.type(node.operands[which]).shape.size(), Expr(0));
    index[index.size() - 2] = row;
    index[index.size() - 1] = column;
    return counted_at(lowering.at(node.operands[which], index), {row});
  };
  Func panel_x("panel_x"), panel_y("panel_y");
  Var d("d");
  const int of_x = recipe.swapped ? 0 : 1, of_y = 1 - of_x;
  Expr row = t * depth + d;
  if (int64_t{depth} * steps * slabs > K) row = Halide::min(row, K - 1);
  if (recipe.pack_x) panel_x(i, d, u, t) = operand(of_x, x, row);
  if (recipe.pack_y) panel_y(j, d, w, t) = operand(of_y, y, row);
  acc(i, j, u, w, t) = Halide::Internal::make_zero(type);
  acc(i, j, u, w, t) += (recipe.pack_y ? Expr(panel_y(j, r, w, t)) : operand(of_y, y, k)) *
                        (recipe.pack_x ? Expr(panel_x(i, r, u, t)) : operand(of_x, x, k));
  const RDom rk(0, steps, "rk");
  sum(i, j, u, w, s) = Halide::Internal::make_zero(type);
  sum(i, j, u, w, s) += acc(i, j, u, w, (slabs > 1 ? Expr(s) : Expr(0)) * steps + (steps > 1 ? Expr(rk) : 0));

  const Expr ox = recipe.swapped ? m : n, oy = recipe.swapped ? n : m;
  const Expr block = blocks_x == 1 ? Expr(0) : ox / BX;
  Expr lane = ox;
  if (blocks_x > 1) {
    const Expr begin = blocks_x * BX > X ? Halide::min(block * BX, X - BX) : block * BX;
    lane = Halide::unsafe_promise_clamped(ox - begin, 0, BX - 1);
  }
  const auto part = [&](int slab) { return Expr(sum(lane, oy % BY, block, oy / BY, slab)); };
  Expr total = part(0);
  for (int slab = 1; slab < slabs; ++slab) total = total + part(slab);
  lowering.provide({id, 0}, [total](const Index&) { return total; });
  Index where(shape.size(), Expr(0));
  where[shape.size() - 2] = m;
  where[shape.size() - 1] = n;
  const std::vector<Expr> values = results_at(lowering, {id, 0}, where);
  if (values.size() == 1)
    out(n, m) = values[0];
  else
    out(n, m) = Halide::Tuple(values);
  fix_output(out, {e.m, e.n});

  const bool large = options.parallel && estimate_nanoseconds(body) > kParallelNanoseconds;
  Var xi("xi"), xo("xo"), yi("yi"), yo("yo"), ii("ii"), io("io"), ji("ji"), jo("jo"), task("task");
  const Var vx = recipe.swapped ? m : n, vy = recipe.swapped ? n : m;
  const auto tail = [](int64_t extent, int64_t factor) {
    return extent % factor ? TailStrategy::GuardWithIf : TailStrategy::RoundUp;
  };
  out.split(vx, xo, xi, BX, tail(X, BX)).split(vy, yo, yi, BY, tail(Y, BY)).reorder(xi, yi, yo, xo);
  if (V > 1) out.vectorize(xi, V);
  if (slabs > 1) {
    sum.compute_root();
    sum.bound(s, 0, slabs).bound(u, 0, blocks_x).bound(w, 0, number(recipe.blocks_y));
    if (large) sum.update().parallel(s);
  } else {
    out.fuse(yo, xo, task);
    if (large) out.parallel(task);
    sum.compute_at(out, task).bound_extent(u, 1).bound_extent(w, 1).bound_extent(s, 1);
  }
  sum.bound(i, 0, BX).bound(j, 0, BY);
  if (V > 1) sum.vectorize(i, V);
  Halide::Stage update = sum.update();
  update.split(i, io, ii, number(recipe.width), TailStrategy::RoundUp)
      .split(j, jo, ji, number(recipe.rows), TailStrategy::RoundUp);
  if (steps > 1)
    update.reorder(ii, ji, jo, io, u, w, rk.x, s);
  else
    update.reorder(ii, ji, jo, io, u, w, s);
  if (V > 1) update.vectorize(ii, V);
  update.unroll(ii).unroll(ji);
  if (recipe.pack_x) {
    panel_x.compute_at(sum, io).bound_extent(i, number(recipe.width)).bound_extent(u, 1);
    if (V > 1) panel_x.vectorize(i, V);
    panel_x.unroll(i).bound(d, 0, depth).bound_extent(t, 1);
  }
  if (recipe.pack_y) {
    if (steps > 1)
      panel_y.compute_at(sum, rk.x);
    else
      panel_y.compute_at(sum, w);
    panel_y.bound(j, 0, BY).bound_extent(w, 1).bound(d, 0, depth).bound_extent(t, 1);
    if (V > 1 && BY >= V) panel_y.vectorize(j, V, TailStrategy::GuardWithIf);
  }
  acc.compute_at(sum, jo).bound_extent(i, number(recipe.width)).bound_extent(j, number(recipe.rows));
  if (V > 1) acc.vectorize(i, V);
  acc.unroll(i).unroll(j);
  acc.update().reorder(i, j, r.x);
  if (V > 1) acc.update().vectorize(i, V);
  acc.update().unroll(i).unroll(j);
  Pipeline pipeline;
  pipeline.outputs = {out};
  for (size_t result = 0; result < body.results.size(); ++result) pipeline.order.push_back(number(result));
  return pipeline;
}

}  // namespace nncc
