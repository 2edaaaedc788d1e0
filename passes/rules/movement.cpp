// Movement: steps that do nothing, two steps that are one, and constants that look alike wherever one moves
// them.
#include <algorithm>
#include <map>

#include "passes/graph_util.h"
#include "passes/rules/rules.h"

namespace nncc {
namespace {

using R = Rewrite;
using Ints = std::vector<int64_t>;

bool all_are(const Ints& list, int64_t value) {
  return std::all_of(list.begin(), list.end(), [&](int64_t v) { return v == value; });
}

// ---- steps that do nothing ----

Value same_shape(const R& r) { return r.type() == r.type(r.x()) ? r.x() : Value{}; }

Value identity_transpose(const R& r) {
  return std::is_sorted(r.integers(Attr::Perm).begin(), r.integers(Attr::Perm).end()) ? r.x() : Value{};
}

Value identity_reverse(const R& r) {
  const Ints& axes = r.integers(Attr::Axes);
  const bool still = std::all_of(axes.begin(), axes.end(), [&](int64_t a) { return r.type().shape[a] == 1; });
  return still ? r.x() : Value{};
}

Value concat_of_one(const R& r) { return r.node().operands.size() == 1 ? r.x() : Value{}; }

// ---- two steps that are one ----

Value reshape_of_reshape(const R& r) {
  const Node* inner = r.made_by(r.x(), Op::Reshape);
  return inner ? r.b.reshape(inner->operands[0], r.type().shape) : Value{};
}

Value transpose_of_transpose(const R& r) {
  const Node* inner = r.made_by(r.x(), Op::Transpose);
  if (!inner) return {};
  Ints perm;
  for (const int64_t axis : r.integers(Attr::Perm))
    perm.push_back(inner->attributes.integers(Attr::Perm)[axis]);
  return r.b.transpose(inner->operands[0], perm);
}

Value broadcast_of_broadcast(const R& r) {
  const Node* inner = r.made_by(r.x(), Op::Broadcast);
  if (!inner) return {};
  Ints dims;
  for (const int64_t axis : inner->attributes.integers(Attr::Dims))
    dims.push_back(r.integers(Attr::Dims)[axis]);
  return r.b.broadcast(inner->operands[0], r.type().shape, dims);
}

Value reverse_of_reverse(const R& r) {
  const Node* inner = r.made_by(r.x(), Op::Reverse);
  if (!inner) return {};
  const Ints &outer_axes = r.integers(Attr::Axes), &inner_axes = inner->attributes.integers(Attr::Axes);
  Ints axes;
  std::set_symmetric_difference(outer_axes.begin(), outer_axes.end(), inner_axes.begin(), inner_axes.end(),
                                std::back_inserter(axes));
  if (axes.empty()) return inner->operands[0];
  return r.b.add(Op::Reverse, {inner->operands[0]}, {{Attr::Axes, axes}});
}

Value slice(const R& r, Value v, Ints starts, Ints strides) {
  return r.b.add_typed(Op::Slice, std::vector{v}, r.type(),
                       {{Attr::Starts, std::move(starts)}, {Attr::Strides, std::move(strides)}});
}

Value slice_of_slice(const R& r) {
  const Node* inner = r.made_by(r.x(), Op::Slice);
  if (!inner) return {};
  Ints starts = r.integers(Attr::Starts), strides = r.integers(Attr::Strides);
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t stride = inner->attributes.integers(Attr::Strides)[i];
    starts[i] = inner->attributes.integers(Attr::Starts)[i] + starts[i] * stride;
    strides[i] *= stride;
  }
  return slice(r, inner->operands[0], starts, strides);
}

// A slice of what lies within one piece of a concatenation.
Value slice_of_concat(const R& r) {
  const Node* concat = r.made_by(r.x(), Op::Concat);
  if (!concat) return {};
  const int64_t axis = concat->attributes.integer(Attr::Axis);
  Ints starts = r.integers(Attr::Starts);
  const int64_t last = starts[axis] + (r.type().shape[axis] - 1) * r.integers(Attr::Strides)[axis];
  int64_t begin = 0;
  for (const Value piece : concat->operands) {
    const int64_t end = begin + r.type(piece).shape[axis];
    if (begin <= starts[axis] && last < end) {
      starts[axis] -= begin;
      return slice(r, piece, starts, r.integers(Attr::Strides));
    }
    begin = end;
  }
  return {};
}

// A slice of what lies within the padding's operand.
Value slice_of_pad(const R& r) {
  const Node* pad = r.made_by(r.x(), Op::Pad);
  if (!pad || !all_are(pad->attributes.integers(Attr::Interior), 0)) return {};
  const Shape& inside = r.type(pad->operands[0]).shape;
  Ints starts = r.integers(Attr::Starts);
  for (size_t i = 0; i < starts.size(); ++i) {
    starts[i] -= pad->attributes.integers(Attr::Low)[i];
    const int64_t last = starts[i] + (r.type().shape[i] - 1) * r.integers(Attr::Strides)[i];
    if (starts[i] < 0 || last >= inside[i]) return {};
  }
  return slice(r, pad->operands[0], starts, r.integers(Attr::Strides));
}

Value concat_of_concat(const R& r) {
  const int64_t axis = r.node().attributes.integer(Attr::Axis);
  std::vector<Value> pieces;
  for (const Value v : r.node().operands) {
    const Node* inner = r.made_by(v, Op::Concat);
    if (inner && inner->attributes.integer(Attr::Axis) == axis)
      pieces.insert(pieces.end(), inner->operands.begin(), inner->operands.end());
    else
      pieces.push_back(v);
  }
  if (pieces.size() == r.node().operands.size()) return {};
  return r.b.add(Op::Concat, pieces, {{Attr::Axis, axis}});
}

// The consecutive slices of one value, put together again.
Value concat_of_slices(const R& r) {
  const int64_t axis = r.node().attributes.integer(Attr::Axis);
  Value source;
  Ints starts;
  int64_t next = 0;
  for (const Value v : r.node().operands) {
    const Node* piece = r.made_by(v, Op::Slice);
    if (!piece || !all_are(piece->attributes.integers(Attr::Strides), 1)) return {};
    Ints piece_starts = piece->attributes.integers(Attr::Starts);
    if (!source) {
      source = piece->operands[0];
      starts = piece_starts;
      next = starts[axis];
    }
    if (piece->operands[0] != source || piece_starts[axis] != next) return {};
    next += r.type(v).shape[axis];
    piece_starts[axis] = starts[axis];
    if (piece_starts != starts) return {};
  }
  if (r.type(source) == r.type()) return source;
  return slice(r, source, starts, Ints(starts.size(), 1));
}

// ---- sums of pieces that do not overlap ----

// What a sum of zero-padded pieces is made of: the pieces along one axis, and all other terms.
struct PaddedPieces {
  int64_t axis = -1;
  std::map<int64_t, Value> pieces;  // by where they begin
  std::vector<Value> others;
  bool overlap = false;
};

// The one axis along which a tensor lies within zeros, or nothing.
std::optional<int64_t> padded_axis(const R& r, const Node& pad) {
  if (!r.is_splat(pad.operands[1], 0) || !all_are(pad.attributes.integers(Attr::Interior), 0)) return {};
  const Shape &inside = r.type(pad.operands[0]).shape, &whole = pad.types[0].shape;
  std::optional<int64_t> result;
  for (size_t axis = 0; axis < whole.size(); ++axis) {
    if (inside[axis] == whole[axis]) continue;
    if (result) return {};
    result = static_cast<int64_t>(axis);
  }
  return result;
}

void collect_pieces(const R& r, Value v, PaddedPieces& sum) {
  if (const Node* add = r.made_by(v, Op::Add); add && (v.node == r.id || r.only_use(v))) {
    for (const Value operand : add->operands) collect_pieces(r, operand, sum);
    return;
  }
  const Node* pad = r.made_by(v, Op::Pad);
  const auto axis = pad ? padded_axis(r, *pad) : std::nullopt;
  if (!axis || (sum.axis >= 0 && sum.axis != *axis)) {
    sum.others.push_back(v);
    return;
  }
  sum.axis = *axis;
  const int64_t low = pad->attributes.integers(Attr::Low)[*axis];
  sum.overlap = sum.overlap || !sum.pieces.emplace(low, pad->operands[0]).second;
}

// The sum of pieces padded with zeros, next to each other: gradients of slices that took a tensor apart. What
// none of them covers is 0, and has to be nothing if there are other terms.
Value add_of_pads(const R& r) {
  const std::vector<NodeId> users = r.b.graph().users(r.id);
  if (users.size() == 1 && r.b.graph()[users[0]].op == Op::Add && r.only_use({r.id, 0}))
    return {};  // part of it
  PaddedPieces sum;
  collect_pieces(r, {r.id, 0}, sum);
  if (sum.pieces.size() < 2 || sum.overlap) return {};
  std::vector<std::pair<int64_t, int64_t>> gaps;
  int64_t end = 0;
  for (const auto& [low, piece] : sum.pieces) {
    if (low < end) return {};
    if (low > end) gaps.emplace_back(end, low);
    end = low + r.type(piece).shape[sum.axis];
  }
  if (const int64_t extent = r.type().shape[sum.axis]; end < extent) gaps.emplace_back(end, extent);
  if (!gaps.empty() && !sum.others.empty()) return {};
  for (const auto& [low, high] : gaps) {
    TensorType type = r.type();
    type.shape[sum.axis] = high - low;
    sum.pieces.emplace(low, r.b.splat(type, 0));
  }
  std::vector<Value> pieces;
  for (const auto& [low, piece] : sum.pieces) pieces.push_back(piece);
  Value result = r.b.add(Op::Concat, pieces, {{Attr::Axis, sum.axis}});
  for (const Value other : sum.others) result = r.b.add(result, other);
  return result;
}

// ---- reshapes are free ----

// A transpose that keeps the order of all axes with more than one element.
Value transpose_as_reshape(const R& r) {
  int64_t last = -1;
  for (const int64_t axis : r.integers(Attr::Perm)) {
    if (r.type(r.x()).shape[axis] == 1) continue;
    if (axis < last) return {};
    last = axis;
  }
  return r.b.reshape(r.x(), r.type().shape);
}

Value broadcast_as_reshape(const R& r) {
  if (r.type().num_elements() != r.type(r.x()).num_elements()) return {};
  return r.b.reshape(r.x(), r.type().shape);
}

// Axes of extent 1 that a reshape put in only to be repeated.
Value broadcast_of_reshape(const R& r) {
  const Node* reshape = r.made_by(r.x(), Op::Reshape);
  if (!reshape) return {};
  const Shape &from = r.type(reshape->operands[0]).shape, &to = r.type(r.x()).shape;
  Ints dims;
  for (size_t axis = 0; axis < to.size(); ++axis) {
    if (dims.size() < from.size() && to[axis] == from[dims.size()])
      dims.push_back(r.integers(Attr::Dims)[axis]);
    else if (to[axis] != 1)
      return {};
  }
  if (dims.size() != from.size()) return {};
  return r.b.broadcast(reshape->operands[0], r.type().shape, dims);
}

// A reshape after a broadcast that only puts in or takes away axes of extent 1.
Value reshape_of_broadcast(const R& r) {
  const Node* inner = r.made_by(r.x(), Op::Broadcast);
  if (!inner) return {};
  const Shape &from = r.type(r.x()).shape, &to = r.type().shape;
  Ints place(from.size(), -1);  // where an axis goes
  size_t next = 0;
  for (size_t axis = 0; axis < from.size(); ++axis) {
    if (from[axis] == 1) continue;
    while (next < to.size() && to[next] == 1) ++next;
    if (next == to.size() || to[next] != from[axis]) return {};
    place[axis] = static_cast<int64_t>(next++);
  }
  Ints dims;
  Shape kept;
  const Ints inner_dims = inner->attributes.integers(Attr::Dims);
  const Shape source = r.type(inner->operands[0]).shape;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == 1) continue;
    dims.push_back(place[inner_dims[i]]);
    kept.push_back(source[i]);
  }
  return r.b.broadcast(r.b.reshape(inner->operands[0], kept), to, dims);
}

// ---- constants ----

Value movement_of_splat(const R& r) {
  const Literal* first = r.constant(r.x());
  if (!first || !(first->is_splat() || first->num_elements() == 1)) return {};
  const Literal one = splat_of(*first, {r.type().dtype, {}});
  for (const Value v : r.node().operands) {
    const Literal* literal = r.constant(v);
    if (!literal || !(literal->is_splat() || literal->num_elements() == 1)) return {};
    if (!identical(splat_of(*literal, {r.type().dtype, {}}), one)) return {};
  }
  return r.b.constant(splat_of(one, r.type()));
}

Value reshape_of_constant(const R& r) {
  const Literal* literal = r.constant(r.x());
  return literal ? r.b.constant(literal->reshaped(r.type().shape)) : Value{};
}

}  // namespace

std::span<const RewriteRule> movement_rules() {
  static const RewriteRule kRules[] = {
      {"identity-reshape", {Op::Reshape}, same_shape},
      {"identity-broadcast", {Op::Broadcast}, same_shape},
      {"identity-transpose", {Op::Transpose}, identity_transpose},
      {"identity-slice", {Op::Slice}, same_shape},
      {"identity-pad", {Op::Pad}, same_shape},
      {"identity-reverse", {Op::Reverse}, identity_reverse},
      {"concat-of-one", {Op::Concat}, concat_of_one},
      {"movement-of-splat",
       {Op::Reshape, Op::Broadcast, Op::Transpose, Op::Slice, Op::Pad, Op::Concat, Op::Reverse},
       movement_of_splat},
      {"reshape-of-constant", {Op::Reshape}, reshape_of_constant},
      {"reshape-of-reshape", {Op::Reshape}, reshape_of_reshape},
      {"transpose-of-transpose", {Op::Transpose}, transpose_of_transpose},
      {"broadcast-of-broadcast", {Op::Broadcast}, broadcast_of_broadcast},
      {"reverse-of-reverse", {Op::Reverse}, reverse_of_reverse},
      {"slice-of-slice", {Op::Slice}, slice_of_slice},
      {"slice-of-concat", {Op::Slice}, slice_of_concat},
      {"slice-of-pad", {Op::Slice}, slice_of_pad},
      {"add-of-pads", {Op::Add}, add_of_pads},
      {"concat-of-concat", {Op::Concat}, concat_of_concat},
      {"concat-of-slices", {Op::Concat}, concat_of_slices},
      {"transpose-as-reshape", {Op::Transpose}, transpose_as_reshape},
      {"broadcast-as-reshape", {Op::Broadcast}, broadcast_as_reshape},
      {"broadcast-of-reshape", {Op::Broadcast}, broadcast_of_reshape},
      {"reshape-of-broadcast", {Op::Reshape}, reshape_of_broadcast},
  };
  return kRules;
}

}  // namespace nncc
