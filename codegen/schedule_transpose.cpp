// Transposes that exchange the innermost axis with another one, in squares that are turned in registers:
// whole vectors are loaded along the axis that is innermost in the operand and stored along the one that is
// innermost in the result. Between them lies a block on the stack, whose stores interleave and so become
// shuffles.
#include <algorithm>
#include <optional>

#include "codegen/schedule.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::Var;

namespace {

// A block of one task, so that every access in it has a constant offset.
constexpr int64_t kMostSquares = 25;

struct Axis {
  int64_t extent = 1;
  size_t place = 0;  // of the first axis of the operand that is in it
};

// Positions in `axes`: [first, last).
int64_t extent_of(const std::vector<Axis>& axes, size_t first, size_t last) {
  int64_t n = 1;
  for (size_t i = first; i < last; ++i) n *= axes[i].extent;
  return n;
}

class Turn {
 public:
  Turn(Lowering& lowering, const ScheduleOptions& options, const Node& node)
      : lowering_(lowering), options_(options), result_(lowering.body().results[0].value) {
    const Shape& shape = node.types[0].shape;
    const auto& perm = node.attributes.integers(Attr::Perm);
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      axes_.push_back({shape[i], static_cast<size_t>(perm[i])});
      at_.push_back(i);
    }
  }

  std::optional<Pipeline> build() {
    if (axes_.size() < 2) return std::nullopt;
    const auto innermost =
        static_cast<size_t>(std::max_element(axes_.begin(), axes_.end(),
                                             [](const Axis& a, const Axis& b) { return a.place < b.place; }) -
                            axes_.begin());
    if (innermost + 1 == axes_.size()) return std::nullopt;
    // Channels in eights are usual where a vector has sixteen lanes.
    const int widest = options_.lanes(lowering_.body());
    for (lanes_ = widest; lanes_ >= std::max(4, widest / 2); lanes_ /= 2) {
      if (auto pipeline = scatter_lanes(innermost)) return pipeline;
      if (auto pipeline = gather_lanes()) return pipeline;
    }
    return std::nullopt;
  }

 private:
  // The element of the result at `index`, which has the axes of axes_.
  Expr value(const Index& index) {
    Index all(lowering_.body().type(result_).shape.size(), Expr(0));
    for (size_t i = 0; i < at_.size(); ++i) all[at_[i]] = index[i];
    return lowering_.stored_at(result_, all);
  }

  // Of the run of `extents`, whose first is a multiple of a vector: how many squares a block has, so that no
  // other axis is cut; none if that is too many.
  int64_t squares_of(int64_t first, int64_t rest) const {
    if (first % lanes_ || rest > kMostSquares) return 0;
    if (rest > 1) return rest;
    for (int64_t n : {4, 2})
      if (first % (n * lanes_) == 0) return n;
    return 1;
  }

  // Enough of the `loops` in one, for the threads, from the outermost on. The innermost then.
  Var share(Func out, const std::vector<Var>& loops, const Shape& extents) {
    if (!options_.parallel || estimate_nanoseconds(lowering_.body()) <= kParallelNanoseconds)
      return loops.back();
    Var task = loops[0];
    int64_t pieces = extents[0];
    size_t next = 1;
    for (; next < loops.size() && pieces < kParallelPieces; ++next) {
      const Var fused("task" + std::to_string(next));
      out.fuse(loops[next], task, fused);
      task = fused;
      pieces *= extents[next];
    }
    parallelize(out, task, pieces);
    return next == loops.size() ? task : loops.back();
  }

  std::optional<Pipeline> scatter_lanes(size_t lane_axis);
  std::optional<Pipeline> gather_lanes();

  Lowering& lowering_;
  const ScheduleOptions& options_;
  Value result_;
  std::vector<Axis> axes_;  // of the result, without those of extent 1
  std::vector<size_t> at_;  // where they stand among all of them
  int lanes_ = 1;           // of a square
};

// Vectors of the operand lie along `lane_axis` of the result: what follows it there is one run in memory.
std::optional<Pipeline> Turn::scatter_lanes(size_t lane_axis) {
  const int64_t first = axes_[lane_axis + 1].extent, rest = extent_of(axes_, lane_axis + 2, axes_.size());
  const int64_t squares = squares_of(first, rest), lanes = axes_[lane_axis].extent;
  if (squares == 0 || lanes % lanes_) return std::nullopt;
  const int64_t blocks = first * rest / (squares * lanes_);
  Shape run;
  for (size_t i = lane_axis + 1; i < axes_.size(); ++i) run.push_back(axes_[i].extent);
  Shape extents;
  for (size_t i = 0; i < lane_axis; ++i) extents.push_back(axes_[i].extent);
  const std::vector<Var> outer = axis_vars("o", lane_axis);
  Var j("j"), u("u"), block("block"), l("l"), lo("lo"), li("li");
  const int s = static_cast<int>(squares);
  Index index = as_index(outer);
  index.emplace_back(l);
  const Index rest_index = lowering_.unflatten(run, (Expr(block) * s + u) * lanes_ + j);
  index.insert(index.end(), rest_index.begin(), rest_index.end());
  Func turned("turned"), out("out");
  std::vector<Var> of_turned = {j, l, u, block}, of_out = {j, u, block, l};
  for (size_t i = outer.size(); i-- > 0;) {
    of_turned.push_back(outer[i]);
    of_out.push_back(outer[i]);
  }
  turned(of_turned) = value(index);
  const std::vector<Expr> at(of_turned.begin(), of_turned.end());
  out(of_out) = turned(at);
  out.split(l, lo, li, lanes_, Halide::TailStrategy::RoundUp);
  std::vector<Halide::VarOrRVar> order = {j, u, li, block, lo};
  for (size_t i = outer.size(); i-- > 0;) order.emplace_back(outer[i]);
  out.bound(j, 0, lanes_).bound(u, 0, s).reorder(order).vectorize(j);
  std::vector<Var> loops = outer;
  loops.push_back(lo);
  loops.push_back(block);
  Shape counts = extents;
  counts.insert(counts.end(), {lanes / lanes_, blocks});
  turned.compute_at(out, share(out, loops, counts)).bound_extent(u, s).vectorize(l).unroll(j);
  // Where squares of the run begin inside of its other axes is known then.
  if (rest > 1) {
    out.unroll(u);
    turned.unroll(u);
  }
  extents.insert(extents.end(), {lanes, blocks, squares, lanes_});
  turned.bound_extent(j, lanes_).bound_extent(l, lanes_);
  fix_output(out, extents);
  return Pipeline{{out}, {0}};
}

// The innermost axis of the result lies further out in the operand, where what follows it is one run.
std::optional<Pipeline> Turn::gather_lanes() {
  const size_t last = axes_.size() - 1;
  const int64_t lanes = axes_[last].extent;
  // Positions in the result of the axes of that run, in the operand's order.
  std::vector<size_t> run;
  for (size_t i = 0; i < last; ++i)
    if (axes_[i].place > axes_[last].place) run.push_back(i);
  std::sort(run.begin(), run.end(), [&](size_t a, size_t b) { return axes_[a].place < axes_[b].place; });
  const int64_t first = axes_[run[0]].extent;
  Shape run_shape;
  for (size_t i : run) run_shape.push_back(axes_[i].extent);
  const int64_t rest = num_elements(run_shape) / first, squares = squares_of(first, rest);
  if (squares == 0 || lanes % lanes_) return std::nullopt;
  // Of the run's first axis, a block has so many.
  const int64_t cut = squares * lanes_ / rest;

  const std::vector<Var> vars = axis_vars("o", axes_.size());
  Var block("block"), inner("inner"), l("l"), lo("lo"), li("li"), f("f"), fo("fo"), fi("fi");
  // The result, with the run's first axis as two.
  Shape extents;
  std::vector<Var> of_out;
  for (size_t i = 0; i < last; ++i) {
    if (i == run[0]) {
      extents.insert(extents.end(), {first / cut, cut});
      of_out.insert(of_out.end(), {block, inner});
    } else {
      extents.push_back(axes_[i].extent);
      of_out.push_back(vars[i]);
    }
  }
  extents.push_back(lanes);
  of_out.push_back(l);
  // turned(l, f, block, …the axes that are not in the run…).
  Index index(axes_.size());
  const Index run_index =
      lowering_.unflatten(run_shape, Expr(block) * static_cast<int>(squares * lanes_) + f);
  Expr position = inner;
  for (size_t i = 0; i < run.size(); ++i) {
    index[run[i]] = run_index[i];
    if (i > 0) position = position * static_cast<int>(run_shape[i]) + vars[run[i]];
  }
  index[last] = l;
  std::vector<Var> of_turned = {l, f, block}, others;
  std::vector<Expr> at = {l, position, block};
  for (size_t i = 0; i < last; ++i) {
    if (std::find(run.begin(), run.end(), i) != run.end()) continue;
    index[i] = vars[i];
    others.push_back(vars[i]);
    of_turned.push_back(vars[i]);
    at.emplace_back(vars[i]);
  }
  Func turned("turned"), out("out");
  turned(of_turned) = value(index);
  out(reversed(of_out)) = turned(at);
  out.split(l, lo, li, lanes_, Halide::TailStrategy::RoundUp);
  std::vector<Halide::VarOrRVar> order = {li};
  for (size_t i = run.size(); i-- > 1;) order.emplace_back(vars[run[i]]);
  order.emplace_back(inner);
  order.emplace_back(lo);
  order.emplace_back(block);
  for (size_t i = others.size(); i-- > 0;) order.emplace_back(others[i]);
  out.bound(inner, 0, static_cast<int>(cut)).reorder(order).vectorize(li);
  for (size_t i = 1; i < run.size(); ++i)
    out.bound(vars[run[i]], 0, static_cast<int>(run_shape[i])).unroll(vars[run[i]]);
  std::vector<Var> loops = others;
  loops.push_back(block);
  loops.push_back(lo);
  Shape counts;
  for (size_t i = 0; i < last; ++i)
    if (std::find(run.begin(), run.end(), i) == run.end()) counts.push_back(axes_[i].extent);
  counts.insert(counts.end(), {first / cut, lanes / lanes_});
  turned.compute_at(out, share(out, loops, counts))
      .bound_extent(f, static_cast<int>(squares * lanes_))
      .split(f, fo, fi, lanes_, Halide::TailStrategy::RoundUp)
      .reorder(l, fi, fo)
      .vectorize(fi)
      .unroll(l)
      .bound_extent(l, lanes_);
  fix_output(out, extents);
  return Pipeline{{out}, {0}};
}

}  // namespace

std::optional<Pipeline> schedule_transpose(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  if (body.results.size() != 1 || has_half_floats(body)) return std::nullopt;
  const Node& root = body[body.results[0].value.node];
  if (root.op != Op::Transpose) return std::nullopt;
  for (NodeId id : body.nodes()) {
    const OpInfo& op = op_info(body[id].op);
    const bool is_plain = op.has(Leaf) || op.has(Elementwise) || body[id].op == Op::Broadcast ||
                          body[id].op == Op::Reshape || &body[id] == &root;
    if (!is_plain) return std::nullopt;
  }
  return Turn(lowering, options, root).build();
}

}  // namespace nncc
