// Shapes, joining and cutting, and tensors made from nothing.
#include <algorithm>
#include <numeric>

#include "frontend/builtins.h"
#include "ir/diagnostic.h"

namespace nncc {

namespace {

AbstractValue reshape(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  Shape shape = call.integers(1);
  const auto unknown = std::count(shape.begin(), shape.end(), -1);
  if (unknown > 1) throw OpError("one extent of `reshape` at most can be -1", 1);
  const int64_t have = x.type.num_elements();
  if (unknown == 1) {
    Shape known = shape;
    known.erase(std::find(known.begin(), known.end(), -1));
    check_shape(known, 1);
    const int64_t rest = num_elements(known);
    if (have % rest != 0)
      throw OpError("`reshape` of " + x.type.str() + ", which has " + std::to_string(have) +
                        " elements, to " + shape_text(shape) + ": not a multiple of " + std::to_string(rest),
                    1);
    *std::find(shape.begin(), shape.end(), -1) = have / rest;
  }
  check_shape(shape, 1);
  if (num_elements(shape) != have)
    throw OpError("`reshape` of " + x.type.str() + ", which has " + std::to_string(have) + " elements, to " +
                      shape_text(shape) + ", which has " + std::to_string(num_elements(shape)),
                  1);
  return call.context.tensor(call.context.builder.reshape(x.value, shape));
}

AbstractValue transpose(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  const int rank = x.type.rank();
  std::vector<int64_t> perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  if (call[1].is_nothing()) {
    if (rank < 2) call.fail(0, "a tensor of rank 2 or more");
    std::swap(perm[rank - 1], perm[rank - 2]);
  } else {
    std::vector<int64_t> axes = call.integers(1);
    for (int64_t& a : axes) a = normalize_axis(a, rank, 1);
    if (!std::is_permutation(axes.begin(), axes.end(), perm.begin(), perm.end()))
      throw OpError(
          "`transpose` of " + x.type.str() + " names each of its " + std::to_string(rank) + " axes once", 1);
    perm = axes;
  }
  return call.context.tensor(call.context.builder.transpose(x.value, perm));
}

AbstractValue broadcast(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  const Shape shape = call.shape(1);
  if (broadcast_shapes(x.type.shape, shape) != shape)
    throw OpError("`broadcast` cannot make " + shape_text(shape) + " of " + x.type.str());
  return call.context.tensor(call.context.builder.broadcast_to(x.value, shape));
}

std::string described(const TensorType& type) { return (type.rank() == 0 ? "the scalar " : "") + type.str(); }

// The tensors of a list, with one element type.
std::vector<TensorValue> tensors_of(BuiltinCall& call) {
  if (!call[0].is_list() || call[0].elements().empty()) call.fail(0, "a list of tensors, such as [a, b]");
  const auto& list = call[0].elements();
  const auto first = std::find_if(list.begin(), list.end(), [](auto& e) { return e.is_tensor(); });
  std::vector<TensorValue> out;
  for (const AbstractValue& e : list) {
    if (!e.is_tensor() && !e.is_scalar_constant())
      throw OpError("`" + call.builtin.name + "` joins tensors, found " + e.describe() + " in the list", 0);
    // Constants take the element type of the tensors; concat rejects the scalar, stack takes it.
    out.push_back(e.is_tensor() || first == list.end()
                      ? to_tensor(call.context, e, call.float_type)
                      : make_splat(call.context, e, {first->tensor().type.dtype, {}}));
    if (out.back().type.dtype != out.front().type.dtype)
      throw OpError("`" + call.builtin.name + "` joins " + out.front().type.str() + " with " +
                        out.back().type.str() + "; cast one of them",
                    0);
  }
  return out;
}

Value join(BuiltinCall& call, const std::vector<TensorValue>& parts, int64_t axis) {
  std::vector<Value> operands;
  for (const TensorValue& t : parts) operands.push_back(t.value);
  if (operands.size() == 1) return operands[0];
  return call.context.builder.add(Op::Concat, operands, {{Attr::Axis, axis}});
}

AbstractValue concat(BuiltinCall& call) {
  const auto parts = tensors_of(call);
  const TensorType& first = parts[0].type;
  if (first.rank() == 0)
    throw OpError("`concat` takes tensors with an axis, found the scalar " + first.str(), 0);
  const int64_t axis = call.axis(1, first.rank());
  for (const TensorValue& t : parts) {
    Shape expected = first.shape;
    if (t.type.rank() == first.rank()) expected[axis] = t.type.shape[axis];
    if (t.type.shape != expected)
      throw OpError("`concat` along axis " + std::to_string(axis) +
                        " takes tensors that differ in this extent alone, found " + described(first) +
                        " and " + described(t.type),
                    0);
  }
  return call.context.tensor(join(call, parts, axis));
}

AbstractValue stack(BuiltinCall& call) {
  auto parts = tensors_of(call);
  const TensorType first = parts[0].type;
  const int64_t axis = call.axis(1, first.rank() + 1);
  for (TensorValue& t : parts) {
    if (t.type != first)
      throw OpError(
          "`stack` takes tensors of one shape, found " + described(first) + " and " + described(t.type), 0);
    Shape shape = first.shape;
    shape.insert(shape.begin() + axis, 1);
    t = call.context.tensor(call.context.builder.reshape(t.value, shape));
  }
  return call.context.tensor(join(call, parts, axis));
}

AbstractValue split(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  const int64_t n = call.integer(1);
  if (x.type.rank() == 0) call.fail(0, "a tensor with an axis");
  const int64_t axis = call.axis(2, x.type.rank());
  const int64_t extent = x.type.shape[axis];
  if (n < 1 || extent % n != 0)
    throw OpError("`split` cannot cut the extent " + std::to_string(extent) + " into " + std::to_string(n) +
                      " equal parts",
                  1);
  if (n == 1) return x;
  std::vector<AbstractValue> parts;
  TensorType part = x.type;
  part.shape[axis] = extent / n;
  for (int64_t i = 0; i < n; ++i) {
    std::vector<int64_t> starts(x.type.rank(), 0), strides(x.type.rank(), 1);
    starts[axis] = i * part.shape[axis];
    parts.push_back(call.context.tensor(call.context.builder.add_typed(
        Op::Slice, {&x.value, 1}, part, {{Attr::Starts, starts}, {Attr::Strides, strides}})));
  }
  return AbstractValue::results(std::move(parts));
}

AbstractValue pad(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  const std::string wanted = "a list of [before, after] for each axis of " + x.type.str();
  if (!call[1].is_list() || static_cast<int>(call[1].elements().size()) != x.type.rank())
    call.fail(1, wanted);
  TensorType type = x.type;
  std::vector<int64_t> low;
  for (int axis = 0; axis < x.type.rank(); ++axis) {
    const auto widths = as_integers(call[1].elements()[axis]);
    if (!widths || widths->size() != 2) call.fail(1, wanted);
    if ((*widths)[0] < 0 || (*widths)[1] < 0) throw OpError("`pad` takes widths of 0 or more", 1);
    constexpr int64_t kWidest = int64_t{1} << 40;
    if ((*widths)[0] > kWidest || (*widths)[1] > kWidest) throw OpError("the width of `pad` is too large", 1);
    low.push_back((*widths)[0]);
    type.shape[axis] += (*widths)[0] + (*widths)[1];
  }
  check_shape(type.shape, 1);
  if (type == x.type) return x;
  const TensorType scalar{x.type.dtype, {}};
  const TensorValue value =
      call[2].is_tensor() ? call[2].tensor() : make_splat(call.context, call[2], scalar);
  if (value.type != scalar) call.fail(2, "a scalar of " + scalar.str());
  const Value operands[] = {x.value, value.value};
  const std::vector<int64_t> interior(x.type.rank(), 0);
  return call.context.tensor(call.context.builder.add_typed(Op::Pad, operands, type,
                                                            {{Attr::Low, low}, {Attr::Interior, interior}}));
}

AbstractValue reverse(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  const auto axes = call.axes(1, x.type.rank());
  if (axes.empty()) return x;
  return call.context.tensor(call.context.builder.add(Op::Reverse, {x.value}, {{Attr::Axes, axes}}));
}

// A shape, or a type that also gives the element type.
TensorType made_type(BuiltinCall& call, DType otherwise) {
  const Shape shape = call.shape(0);
  return {call[0].is_type() ? call[0].type().dtype : otherwise, shape};
}

AbstractValue zeros(BuiltinCall& call) {
  return call.context.tensor(call.context.builder.splat(made_type(call, call.float_type), 0));
}

AbstractValue ones(BuiltinCall& call) {
  return call.context.tensor(call.context.builder.splat(made_type(call, call.float_type), 1));
}

AbstractValue fill(BuiltinCall& call) {
  if (call[1].is_tensor()) {
    const TensorValue value = call[1].tensor();
    if (value.type.rank() != 0) call.fail(1, "a scalar");
    return call.context.tensor(call.context.builder.broadcast_to(value.value, call.shape(0)));
  }
  return make_splat(call.context, call[1],
                    made_type(call, call[1].is_bool() ? DType::Bool : call.float_type));
}

AbstractValue iota(BuiltinCall& call) {
  const Shape shape{call.integer(0)};
  check_shape(shape, 0);
  return call.context.tensor(call.context.builder.iota({DType::I32, shape}, 0));
}

AbstractValue one_hot(BuiltinCall& call) {
  const TensorValue index = call.tensor(0);
  if (!is_integer(index.type.dtype)) call.fail(0, "a tensor of integers");
  Shape shape = index.type.shape;
  shape.push_back(call.integer(1));
  check_shape(shape, 1);
  GraphBuilder& b = call.context.builder;
  const int last = static_cast<int>(shape.size()) - 1;
  std::vector<int64_t> dims(last);
  std::iota(dims.begin(), dims.end(), 0);
  const Value classes = b.iota({index.type.dtype, shape}, last);
  const Value hit = b.add(Op::Eq, {b.broadcast(index.value, shape, dims), classes});
  return call.context.tensor(b.cast(hit, call.float_type));
}

AbstractValue shape_of(BuiltinCall& call) {
  if (call[0].is_type()) return AbstractValue::integers(call[0].type().shape);
  if (call[0].is_scalar_constant()) return AbstractValue::integers({});
  return AbstractValue::integers(call.tensor(0).type.shape);
}

AbstractValue rank(BuiltinCall& call) { return static_cast<int64_t>(shape_of(call).elements().size()); }

AbstractValue len(BuiltinCall& call) {
  if (!call[0].is_list()) call.fail(0, "a list");
  return static_cast<int64_t>(call[0].elements().size());
}

}  // namespace

std::vector<Builtin> shape_builtins() {
  return {
      {"reshape", "x, shape", reshape},
      {"transpose", "x, axes = none", transpose},
      {"broadcast", "x, shape", broadcast},
      {"concat", "values, axis = 0", concat},
      {"stack", "values, axis = 0", stack},
      {"split", "x, n, axis = 0", split},
      {"pad", "x, widths, value = 0", pad},
      {"reverse", "x, axis", reverse},
      {"zeros", "shape", zeros},
      {"ones", "shape", ones},
      {"fill", "shape, value", fill},
      {"iota", "n", iota},
      {"one_hot", "index, n", one_hot},
      {"shape", "x", shape_of},
      {"rank", "x", rank},
      {"len", "list", len},
  };
}

}  // namespace nncc
