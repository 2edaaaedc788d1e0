// Built-in functions that look up and add up by tensors of integers.
#include <limits>

#include "frontend/builtins.h"

namespace nncc {

namespace {

TensorValue index_argument(BuiltinCall& call, int i) {
  const TensorValue index = call.tensor(i);
  if (!is_integer(index.type.dtype)) call.fail(i, "a tensor of integers");
  return index;
}

// What is known at compile time need not wait for the entry to find out.
void check_constant_index(BuiltinCall& call, int i, int64_t extent) {
  if (!call[i].is_int()) return;
  const int64_t index = call[i].integer();
  if (index < 0 || index >= extent)
    throw OpError("`" + call.builtin.parameters[i].name + "` of `" + call.builtin.name + "` is " +
                      std::to_string(index) + ", and only 0 to " + std::to_string(extent - 1) +
                      " can be looked up",
                  i);
}

AbstractValue gather(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  if (x.type.rank() == 0) call.fail(0, "a tensor with an axis");
  const TensorValue index = index_argument(call, 1);
  const int64_t axis = call.axis(2, x.type.rank());
  check_constant_index(call, 1, x.type.shape[axis]);
  return tensor_gather(call.context, x, index, axis);
}

// Along axis 0 of a tensor of zeros.
AbstractValue scatter_add(BuiltinCall& call) {
  const Shape shape = call.shape(0);
  if (shape.empty()) call.fail(0, "a shape with an axis");
  const TensorValue index = index_argument(call, 1), values = call.tensor(2);
  check_constant_index(call, 1, shape[0]);
  if (values.type.dtype == DType::Bool) call.fail(2, "a tensor of numbers");
  Shape expected = index.type.shape;
  expected.insert(expected.end(), shape.begin() + 1, shape.end());
  if (values.type.shape != expected)
    throw OpError("`values` of `scatter_add` is " + values.type.str() + ", expected the shape " +
                      shape_text(expected) + ": that of `index`, and that of a row",
                  2);
  GraphBuilder& b = call.context.builder;
  const Value zeros = b.splat({values.type.dtype, shape}, 0);
  const TensorValue checked = checked_index(call.context, index, shape[0]);
  return call.context.tensor(
      b.add(Op::ScatterAdd, {zeros, checked.value, values.value}, {{Attr::Axis, int64_t{0}}}));
}

// result[.., i, ..] = x[.., index[.., i, ..], ..]: by the position in all of x.
AbstractValue take_along(BuiltinCall& call) {
  const TensorValue x = call.tensor(0), index = index_argument(call, 1);
  const int64_t axis = call.axis(2, x.type.rank());
  Shape expected = index.type.shape;
  if (index.type.rank() == x.type.rank()) expected[axis] = x.type.shape[axis];
  if (expected != x.type.shape)
    throw OpError("`index` of `take_along` is " + index.type.str() + ", which differs from x, " +
                      x.type.str() + ", in more than the axis",
                  1);
  GraphBuilder& b = call.context.builder;
  const int64_t elements = x.type.num_elements();
  const DType dtype = elements > std::numeric_limits<int32_t>::max() ? DType::I64 : DType::I32;
  const TensorType type{dtype, index.type.shape};
  Value position = b.cast(checked_index(call.context, index, x.type.shape[axis]).value, dtype);
  int64_t stride = 1;
  std::vector<int64_t> strides(x.type.rank());
  for (int i = x.type.rank() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= x.type.shape[i];
  }
  position = b.mul(position, static_cast<double>(strides[axis]));
  for (int i = 0; i < x.type.rank(); ++i)
    if (i != axis && x.type.shape[i] > 1)
      position = b.add(position, b.mul(b.iota(type, i), static_cast<double>(strides[i])));
  const Value flat = b.reshape(x.value, {elements});
  return call.context.tensor(b.add(Op::Gather, {flat, position}, {{Attr::Axis, int64_t{0}}}));
}

}  // namespace

std::vector<Builtin> indexed_builtins() {
  return {
      {"gather", "x, index, axis = 0", gather},
      {"scatter_add", "shape, index, values", scatter_add},
      {"take_along", "x, index, axis", take_along},
  };
}

}  // namespace nncc
