// Reductions: over nothing, over repeats, one after the other.
#include <algorithm>
#include <numeric>

#include "passes/graph_util.h"
#include "passes/rules/rules.h"

namespace nncc {
namespace {

using R = Rewrite;
using Ints = std::vector<int64_t>;

bool contains(const Ints& axes, int64_t axis) { return std::binary_search(axes.begin(), axes.end(), axis); }

Ints axes_of(const Node& node) {
  return node.op == Op::ArgMax || node.op == Op::ArgMin ? Ints{node.attributes.integer(Attr::Axis)}
                                                        : node.attributes.integers(Attr::Axes);
}

// Over axes of extent 1 there is nothing to reduce.
Value reduce_extent_one(const R& r) {
  for (const int64_t axis : axes_of(r.node()))
    if (r.type(r.x()).shape[axis] != 1) return {};
  return r.b.reshape(r.x(), r.type().shape);
}

Value argument_of_one(const R& r) {
  if (r.type(r.x()).shape[axes_of(r.node())[0]] != 1) return {};
  return r.b.splat(r.type(), 0);
}

Value reduce_of_reduce(const R& r) {
  const Node* inner = r.made_by(r.x(), r.node().op);
  if (!inner || !r.only_use(r.x())) return {};
  const Ints inner_axes = inner->attributes.integers(Attr::Axes);
  Ints axes = inner_axes;
  int64_t kept = 0;  // counts the axes that the inner one left
  for (int64_t axis = 0; axis < r.type(inner->operands[0]).rank(); ++axis) {
    if (contains(inner_axes, axis)) continue;
    if (contains(r.integers(Attr::Axes), kept++)) axes.push_back(axis);
  }
  std::sort(axes.begin(), axes.end());
  return r.b.reduce(r.node().op, inner->operands[0], axes);
}

// `n` is a number of the element type.
bool holds(DType dtype, int64_t n) {
  Literal literal = Literal::splat_int({dtype, {}}, n);
  literal.round_to_type();
  return literal.integer(0) == n;
}

// n equal addends are n times one; the largest of equals is any of them.
Value reduce_of_broadcast(const R& r) {
  const Node* broadcast = r.made_by(r.x(), Op::Broadcast);
  if (!broadcast) return {};
  const Value source = broadcast->operands[0];
  const Shape from = r.type(source).shape, to = r.type(r.x()).shape;
  const Ints dims = broadcast->attributes.integers(Attr::Dims), &axes = r.integers(Attr::Axes);
  int64_t repeats = 1;
  for (const int64_t axis : axes) {
    const auto at = std::find(dims.begin(), dims.end(), axis);
    if (at == dims.end() || from[at - dims.begin()] != to[axis]) repeats *= to[axis];
  }
  const bool sum = r.node().op == Op::ReduceSum;
  if (repeats == 1 || (sum && !holds(r.type().dtype, repeats))) return {};

  Ints source_axes, source_dims;  // what is still to reduce, and where the other axes go
  for (size_t i = 0; i < dims.size(); ++i) {
    if (contains(axes, dims[i])) {
      source_axes.push_back(static_cast<int64_t>(i));
    } else {
      const auto gone = std::lower_bound(axes.begin(), axes.end(), dims[i]) - axes.begin();
      source_dims.push_back(dims[i] - gone);
    }
  }
  Value result = r.b.reduce(r.node().op, source, source_axes);
  if (sum) result = r.b.mul(result, static_cast<double>(repeats));
  return r.b.broadcast(result, r.type().shape, source_dims);
}

// Fewer signs to change after the sum.
Value sum_of_neg(const R& r) {
  const Node* neg = r.made_by(r.x(), Op::Neg);
  if (!neg || !r.only_use(r.x())) return {};
  return r.b.neg(r.b.reduce(Op::ReduceSum, neg->operands[0], r.integers(Attr::Axes)));
}

// The order of the axes that are reduced does not matter.
Value reduce_of_transpose(const R& r) {
  const Node* transpose = r.made_by(r.x(), Op::Transpose);
  if (!transpose) return {};
  const Ints perm = transpose->attributes.integers(Attr::Perm);
  Ints axes, rest;
  for (size_t i = 0; i < perm.size(); ++i)
    (contains(r.integers(Attr::Axes), static_cast<int64_t>(i)) ? axes : rest).push_back(perm[i]);
  std::sort(axes.begin(), axes.end());
  Ints sorted = rest;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t& axis : rest) axis = std::lower_bound(sorted.begin(), sorted.end(), axis) - sorted.begin();
  return r.b.transpose(r.b.reduce(r.node().op, transpose->operands[0], axes), rest);
}

}  // namespace

std::span<const RewriteRule> reduction_rules() {
  static const std::vector<Op> kFolds = {Op::ReduceSum, Op::ReduceProd, Op::ReduceMax, Op::ReduceMin};
  static const RewriteRule kRules[] = {
      {"reduce-extent-one", kFolds, reduce_extent_one},
      {"argmax-of-one", {Op::ArgMax, Op::ArgMin}, argument_of_one},
      {"reduce-of-reduce", kFolds, reduce_of_reduce},
      {"reduce-of-broadcast", {Op::ReduceSum, Op::ReduceMax, Op::ReduceMin}, reduce_of_broadcast},
      {"sum-of-neg", {Op::ReduceSum}, sum_of_neg},
      {"reduce-of-transpose", kFolds, reduce_of_transpose},
  };
  return kRules;
}

}  // namespace nncc
