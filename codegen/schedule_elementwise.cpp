// Elementwise bodies: one loop for all results of a size, over axes merged as far as the body allows,
// vectorized along the innermost. Tails are guarded, never computed twice: a result may lie on an argument.
#include <algorithm>
#include <optional>
#include <set>

#include "codegen/schedule.h"
#include "ir/diagnostic.h"
#include "ir/window.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::TailStrategy;
using Halide::Var;

namespace {

// Between which neighbouring axes of `shape` no loop can run through: i stands for the border of i and i + 1.
class Borders {
 public:
  Borders(const Graph& body, Shape shape) : body_(body), shape_(std::move(shape)) {}
  void visit(Value v);
  void everywhere() {
    for (int i = 0; i + 1 < static_cast<int>(shape_.size()); ++i) borders_.insert(i);
  }
  const std::set<int>& borders() const { return borders_; }

 private:
  void around(int axis) { borders_.insert({axis - 1, axis}); }
  // Whether everything that v depends on keeps the order of elements.
  bool keeps_order(Value v) const;

  const Graph& body_;
  Shape shape_;
  std::set<int> borders_;
  std::set<Value> seen_;
};

bool Borders::keeps_order(Value v) const {
  const NodeId ids[] = {v.node};
  for (NodeId id : body_.ancestors(ids)) {
    const Node& node = body_[id];
    if (node.op == Op::Iota && body_.type({id, 0}).rank() > 1) return false;
    if (is_window(node.op)) return false;
    if (!op_info(node.op).has(Movement) || node.op == Op::Reshape) continue;
    if (node.op == Op::Broadcast && body_.type(node.operands[0]).num_elements() == 1) continue;
    return false;
  }
  return true;
}

void Borders::visit(Value v) {
  if (!seen_.insert(v).second) return;
  const Node& node = body_[v.node];
  const OpInfo& info = op_info(node.op);
  if (info.has(Elementwise)) {
    for (Value operand : node.operands) visit(operand);
    return;
  }
  switch (node.op) {
    case Op::Iota:
      around(static_cast<int>(node.attributes.integer(Attr::Axis)));
      break;
    case Op::Reshape:
      if (!keeps_order(node.operands[0])) everywhere();
      break;
    case Op::Broadcast: {
      const Shape& from = body_.type(node.operands[0]).shape;
      if (num_elements(from) == 1) break;
      const auto& dims = node.attributes.integers(Attr::Dims);
      std::vector<bool> repeats(shape_.size(), true);
      for (size_t i = 0; i < from.size(); ++i) repeats[dims[i]] = from[i] != shape_[dims[i]];
      for (size_t i = 0; i + 1 < shape_.size(); ++i)
        if (repeats[i] != repeats[i + 1]) borders_.insert(static_cast<int>(i));
      if (!keeps_order(node.operands[0])) everywhere();
      break;
    }
    case Op::Transpose: {
      const auto& perm = node.attributes.integers(Attr::Perm);
      for (size_t i = 0; i + 1 < perm.size(); ++i)
        if (perm[i + 1] != perm[i] + 1) borders_.insert(static_cast<int>(i));
      if (!keeps_order(node.operands[0])) everywhere();
      break;
    }
    case Op::Concat:
      around(static_cast<int>(node.attributes.integer(Attr::Axis)));
      [[fallthrough]];
    default:
      if (is_window(node.op)) {
        const WindowShape window = window_shape(body_, v.node);
        for (size_t i = 0; i + 1 < shape_.size(); ++i)
          if (!window.is_plain(i) || !window.is_plain(i + 1)) borders_.insert(static_cast<int>(i));
        for (Value operand : node.operands)
          if (!keeps_order(operand)) everywhere();
      } else if (node.op == Op::Concat) {
        for (Value operand : node.operands)
          if (!keeps_order(operand)) everywhere();
      } else if (!info.has(Leaf) && node.op != Op::Random) {
        everywhere();
      }
  }
}

// The axes of a shape merged into fewer loops.
struct Loops {
  Shape extents;            // of the loops, outermost first
  std::vector<Shape> axes;  // of the shape, in each loop
  std::vector<Var> vars;
  // Element of the shape where the loops stand. With one loop it is flat.
  Index index(Lowering& lowering) const {
    if (vars.size() == 1) return {vars[0]};
    Index index;
    for (size_t i = 0; i < vars.size(); ++i) {
      const Index part = lowering.unflatten(axes[i], vars[i]);
      index.insert(index.end(), part.begin(), part.end());
    }
    return index;
  }
};

Loops merge_axes(const Shape& shape, const std::set<int>& borders) {
  Loops loops;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i == 0 || borders.count(static_cast<int>(i) - 1)) {
      loops.extents.push_back(1);
      loops.axes.emplace_back();
    }
    loops.extents.back() *= shape[i];
    loops.axes.back().push_back(shape[i]);
  }
  loops.vars = axis_vars("o", loops.extents.size());
  return loops;
}

// The largest power of two up to `most` that divides n.
int largest_divisor(int64_t n, int most) {
  int d = 1;
  while (2 * d <= most && n % (2 * d) == 0) d *= 2;
  return d;
}

bool has(const Graph& body, Op op) {
  const std::vector<NodeId> nodes = body.nodes();
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) { return body[id].op == op; });
}

std::optional<Shape> shape_of_windows(const Graph& body, int64_t size) {
  for (NodeId id : body.nodes())
    if (is_window(body[id].op) && body.type({id, 0}).num_elements() == size) return body.type({id, 0}).shape;
  return std::nullopt;
}

// The loop along which a transposed operand is contiguous, if that is not the innermost.
std::optional<size_t> transposed_loop(const Graph& body, const Shape& shape, const Loops& loops) {
  for (NodeId id : body.nodes()) {
    const Node& node = body[id];
    if (node.op != Op::Transpose || node.types[0].shape != shape) continue;
    const auto& perm = node.attributes.integers(Attr::Perm);
    const auto contiguous =
        std::find(perm.begin(), perm.end(), static_cast<int64_t>(perm.size()) - 1) - perm.begin();
    size_t first = 0;
    for (size_t loop = 0; loop + 1 < loops.axes.size(); first += loops.axes[loop++].size())
      if (static_cast<size_t>(contiguous) < first + loops.axes[loop].size()) return loop;
  }
  return std::nullopt;
}

// Where elements are made of windows that lie `stride` apart, neighbours differ in which windows cover them:
// with as many written out, no element has to ask. What is left of the loops' extents is in `loops`.
void unroll_phases(Func out, const Graph& body, const Shape& shape, Loops& loops) {
  std::set<size_t> done;
  for (NodeId id : body.nodes()) {
    if (!is_window(body[id].op) || body[id].types[0].shape != shape) continue;
    const WindowShape window = window_shape(body, id);
    if (!window.back) continue;
    size_t axis = 0;
    for (size_t loop = 0; loop + 1 < loops.axes.size(); axis += loops.axes[loop++].size()) {
      const int stride = static_cast<int>(window.strides[axis]),
                extent = static_cast<int>(loops.extents[loop]);
      if (loops.axes[loop].size() != 1 || stride == 1 || stride > 4 || extent < stride) continue;
      if (!done.insert(loop).second) continue;
      const Var phase("phase" + std::to_string(loop));
      out.split(loops.vars[loop], loops.vars[loop], phase, stride,
                extent % stride ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
          .unroll(phase);
      loops.extents[loop] = (extent + stride - 1) / stride;
    }
  }
}

void schedule_loops(Func out, const Loops& loops, int lanes, bool parallel, std::optional<size_t> transposed,
                    bool draws) {
  if (loops.vars.empty()) return;
  const Var inner = loops.vars.back();
  const int extent = static_cast<int>(loops.extents.back());
  Var vi("vi"), ui("ui"), chunk("chunk"), rest("rest");
  const bool one_loop = loops.vars.size() == 1;
  if (parallel && one_loop && extent >= 64 * kParallelPieces) {
    const int step = (extent / kParallelPieces + 127) / 128 * 128;
    out.split(inner, chunk, inner, step, extent % step ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
        .parallel(chunk);
  }
  const auto tail = [&](int factor) {
    return extent % factor ? TailStrategy::GuardWithIf : TailStrategy::RoundUp;
  };
  if (lanes == 1) {
    // Element by element.
  } else if (transposed && largest_divisor(extent, lanes) > 1 &&
             largest_divisor(loops.extents[*transposed], lanes) > 1) {
    // Blocks are turned in registers: loads along the one axis, interleaved stores along the other.
    Var to("to"), ti("ti");
    const Var other = loops.vars[*transposed];
    out.split(inner, inner, vi, largest_divisor(extent, lanes))
        .split(other, to, ti, largest_divisor(loops.extents[*transposed], lanes));
    std::vector<Halide::VarOrRVar> order{vi, ti, inner};
    for (size_t i = loops.vars.size() - 1; i-- > 0;)
      order.emplace_back(i == *transposed ? to : loops.vars[i]);
    out.reorder(order).vectorize(ti).unroll(vi);
    if (parallel) {
      const int64_t turned = largest_divisor(loops.extents[*transposed], lanes);
      if (*transposed == 0)
        parallelize(out, to, loops.extents[0] / turned);
      else
        parallelize(out, loops.vars[0], loops.extents[0]);
    }
    return;
  } else if (draws && one_loop && lanes == 16 && extent >= 64) {
    // Four vectors share the work of one draw, see ir/philox.h.
    out.split(inner, inner, ui, 64, tail(64)).split(ui, ui, vi, lanes).vectorize(vi).unroll(ui);
  } else if (extent >= 2 * lanes) {
    out.split(inner, inner, ui, 2 * lanes, tail(2 * lanes)).split(ui, ui, vi, lanes).vectorize(vi).unroll(ui);
  } else if (extent >= lanes) {
    out.split(inner, inner, vi, lanes, tail(lanes)).vectorize(vi);
  } else if (extent > 1) {
    out.bound(inner, 0, extent).vectorize(inner);
  }
  if (parallel && !one_loop) {
    // The outermost loop, with the next ones while it has too few steps.
    int64_t outer = loops.extents[0];
    Var tasks = loops.vars[0];
    for (size_t i = 1; i + 1 < loops.vars.size() && outer < 4; ++i) {
      out.fuse(loops.vars[i], tasks, rest);
      tasks = rest;
      outer *= loops.extents[i];
    }
    parallelize(out, tasks, outer);
  }
}

// Whether all results are concatenations with the same borders.
bool is_concatenation(const Graph& body) {
  const Node* first = nullptr;
  for (const Graph::Result& result : body.results) {
    const Node& node = body[result.value.node];
    if (node.op != Op::Concat) return false;
    if (!first) first = &node;
    if (node.types[0].shape != first->types[0].shape || node.attributes != first->attributes ||
        node.operands.size() != first->operands.size())
      return false;
    for (size_t i = 0; i < node.operands.size(); ++i)
      if (body.type(node.operands[i]).shape != body.type(first->operands[i]).shape) return false;
  }
  return first != nullptr;
}

// Nothing but concatenations: a loop for each piece, so that no element chooses between them.
Pipeline schedule_concat(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  const Node& first = body[body.results[0].value.node];
  const auto axis = static_cast<std::ptrdiff_t>(first.attributes.integer(Attr::Axis));
  const Shape& shape = first.types[0].shape;
  const Shape outer(shape.begin(), shape.begin() + axis);
  const int64_t rows = num_elements(outer);
  const Var o("o"), i("i");
  Pipeline pipeline;
  std::vector<Expr> nothing;
  for (size_t result = 0; result < body.results.size(); ++result) {
    pipeline.order.push_back(static_cast<int>(result));
    nothing.push_back(Halide::undef(storage_type(body.type(body.results[result].value).dtype)));
  }
  Func out("out");
  if (nothing.size() == 1)
    out(i, o) = nothing[0];
  else
    out(i, o) = Halide::Tuple(nothing);
  const bool parallel =
      options.parallel && rows >= kParallelPieces && estimate_nanoseconds(body) > kParallelNanoseconds;
  const int lanes = options.lanes(body);
  int start = 0;
  for (size_t piece = 0; piece < first.operands.size(); ++piece) {
    const Shape& from = body.type(first.operands[piece]).shape;
    const Shape inner(from.begin() + axis, from.end());
    const int extent = static_cast<int>(num_elements(inner));
    const Halide::RDom r(0, extent, "r" + std::to_string(piece));
    Index index = lowering.unflatten(outer, o);
    const Index rest = lowering.unflatten(inner, r);
    index.insert(index.end(), rest.begin(), rest.end());
    std::vector<Expr> elements;
    for (const Graph::Result& result : body.results)
      elements.push_back(lowering.stored_at(body[result.value.node].operands[piece], index));
    if (elements.size() == 1)
      out(start + r, o) = elements[0];
    else
      out(start + r, o) = Halide::Tuple(elements);
    start += extent;
    Halide::Stage update = out.update(static_cast<int>(piece));
    Halide::RVar ro("ro"), ri("ri");
    if (lanes > 1 && extent >= lanes) {
      update.split(r.x, ro, ri, lanes, TailStrategy::GuardWithIf).vectorize(ri);
      if (extent % (4 * lanes) == 0) update.unroll(ro, 4);
    } else if (lanes > 1 && extent > 1) {
      update.vectorize(r.x);
    }
    if (parallel) {
      const Var chunk("chunk");
      const int step = static_cast<int>((rows + 4 * kParallelPieces - 1) / (4 * kParallelPieces));
      update.split(o, chunk, o, step, rows % step ? TailStrategy::GuardWithIf : TailStrategy::RoundUp)
          .parallel(chunk);
    }
  }
  fix_output(out, {rows, start});
  pipeline.outputs = {out};
  return pipeline;
}

}  // namespace

Pipeline schedule_elementwise(Lowering& lowering, const ScheduleOptions& options) {
  const Graph& body = lowering.body();
  if (is_concatenation(body)) return schedule_concat(lowering, options);
  if (body.results.size() == 1) {
    if (auto pipeline = schedule_transpose(lowering, options)) return *pipeline;
  }
  Pipeline pipeline;
  pipeline.order.resize(body.results.size());
  const bool parallel = options.parallel && estimate_nanoseconds(body) > kParallelNanoseconds;
  std::vector<bool> done(body.results.size(), false);
  int buffers = 0;
  for (size_t i = 0; i < body.results.size(); ++i) {
    if (done[i]) continue;
    // All results of this size. If their shapes differ, they agree in the order of elements alone; windows
    // are best walked in their own shape.
    const int64_t size = body.type(body.results[i].value).num_elements();
    const std::optional<Shape> windows = shape_of_windows(body, size);
    const Shape shape = windows.value_or(body.type(body.results[i].value).shape);
    std::vector<Value> group;
    bool one_shape = true;
    for (size_t j = i; j < body.results.size(); ++j) {
      const Value v = body.results[j].value;
      if (done[j] || body.type(v).num_elements() != size) continue;
      done[j] = true;
      pipeline.order[j] = buffers++;
      one_shape = one_shape && body.type(v).shape == shape;
      group.push_back(v);
    }
    Borders borders(body, shape);
    if (one_shape)
      for (Value v : group) borders.visit(v);
    else if (windows)
      borders.everywhere();
    Loops loops = merge_axes(shape, borders.borders());
    const Shape extents = loops.extents;
    Func out("out" + std::to_string(i));
    std::vector<Expr> values;
    for (Value v : group) {
      const size_t rank = body.type(v).shape.size();
      Index index;
      if (rank > 0 && loops.vars.empty())  // one element, beside a scalar
        index.assign(rank, Expr(0));
      else if (rank > 0 && loops.vars.size() == 1)
        index = {loops.vars[0]};
      else if (rank > 0)
        index = lowering.reshape(shape, body.type(v).shape, loops.index(lowering));
      values.push_back(lowering.stored_at(v, index));
    }
    if (values.size() == 1)
      out(reversed(loops.vars)) = values[0];
    else
      out(reversed(loops.vars)) = Halide::Tuple(values);
    unroll_phases(out, body, shape, loops);
    schedule_loops(out, loops, options.lanes(body), parallel, transposed_loop(body, shape, loops),
                   has(body, Op::Random));
    fix_output(out, extents);
    pipeline.outputs.push_back(out);
  }
  return pipeline;
}

}  // namespace nncc
