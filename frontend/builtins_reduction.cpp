// Reductions, and `min` and `max`, which are elementwise with two values.
#include "frontend/builtins.h"
#include "frontend/constants.h"
#include "ir/diagnostic.h"

namespace nncc {

namespace {

// Over the axes of parameter `axis`, kept with extent 1 if the parameter after it says so.
AbstractValue reduce(BuiltinCall& call, Op op, const TensorValue& x, int axis) {
  const auto axes = call.axes(axis, x.type.rank());
  const bool keep = call.boolean(axis + 1);
  if (axes.empty()) return x;
  return call.context.tensor(call.context.builder.reduce(op, x.value, axes, keep));
}

// Bools count in f32.
TensorValue countable(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  if (x.type.dtype != DType::Bool) return x;
  return call.context.tensor(call.context.builder.cast(x.value, call.float_type));
}

// A list of numbers, folded from the left.
template <typename F>
AbstractValue fold_list(BuiltinCall& call, AbstractValue first, F step) {
  size_t i = 0;
  const auto& list = call[0].elements();
  if (first.is_nothing()) {
    if (list.empty()) call.fail(0, "a tensor or a list that is not empty");
    first = list[i++];
  }
  for (; i < list.size(); ++i) {
    if (!list[i].is_number()) call.fail(0, "a tensor or a list of numbers");
    first = step(first, list[i]);
  }
  return first;
}

AbstractValue sum(BuiltinCall& call) {
  if (call[0].is_list())
    return fold_list(call, int64_t{0},
                     [](auto& a, auto& b) { return fold_binary(ast::BinaryOp::Add, a, b); });
  return reduce(call, Op::ReduceSum, countable(call), 1);
}

AbstractValue prod(BuiltinCall& call) {
  if (call[0].is_list())
    return fold_list(call, int64_t{1},
                     [](auto& a, auto& b) { return fold_binary(ast::BinaryOp::Mul, a, b); });
  return reduce(call, Op::ReduceProd, countable(call), 1);
}

AbstractValue mean(BuiltinCall& call) {
  const TensorValue x = countable(call);
  if (!is_float(x.type.dtype))
    throw OpError("`mean` takes floats or bools, found " + x.type.str() + "; cast it to f32", 0);
  double elements = 1;
  for (const int64_t axis : call.axes(1, x.type.rank())) elements *= static_cast<double>(x.type.shape[axis]);
  const TensorValue total = reduce(call, Op::ReduceSum, x, 1).tensor();
  return call.context.tensor(call.context.builder.mul(total.value, 1 / elements));
}

template <Op reduction, Op elementwise>
AbstractValue extremum(BuiltinCall& call) {
  if (!call[1].is_nothing()) {
    if (!call[2].is_nothing())
      throw OpError("`" + call.builtin.name + "` of two values is elementwise and has no axis", 2);
    if (!call[0].is_tensor() && !call[1].is_tensor()) return fold_extremum(elementwise, call[0], call[1]);
    const auto [a, b] = unify(call.context, call[0], call[1], call.builtin.name, call.float_type);
    if (a.type.dtype == DType::Bool)
      throw OpError("`" + call.builtin.name + "` does not take bools; use `or` and `and`");
    return call.context.tensor(call.context.builder.add(elementwise, {a.value, b.value}));
  }
  if (call[0].is_list())
    return fold_list(call, {}, [](auto& a, auto& b) { return fold_extremum(elementwise, a, b); });
  const TensorValue x = call.tensor(0);
  if (x.type.dtype == DType::Bool)
    throw OpError("`" + call.builtin.name + "` does not take bools; use `any` and `all`", 0);
  return reduce(call, reduction, x, 2);
}

template <Op op>
AbstractValue test_bools(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  if (x.type.dtype != DType::Bool) call.fail(0, "a tensor of bool");
  return reduce(call, op, x, 1);
}

template <Op op>
AbstractValue arg_extremum(BuiltinCall& call) {
  const TensorValue x = call.tensor(0);
  const bool keep = call.boolean(2);
  if (x.type.rank() == 0) call.fail(0, "a tensor with an axis");
  if (x.type.dtype == DType::Bool) throw OpError("`" + call.builtin.name + "` does not take bools", 0);
  const int64_t axis = call.axis(1, x.type.rank());
  Value result = call.context.builder.add(op, {x.value}, {{Attr::Axis, axis}});
  if (keep) {
    Shape shape = x.type.shape;
    shape[axis] = 1;
    result = call.context.builder.reshape(result, shape);
  }
  return call.context.tensor(result);
}

}  // namespace

std::vector<Builtin> reduction_builtins() {
  return {
      {"sum", "x, axis = none, keep = false", sum},
      {"mean", "x, axis = none, keep = false", mean},
      {"prod", "x, axis = none, keep = false", prod},
      {"min", "a, b = none, axis = none, keep = false", extremum<Op::ReduceMin, Op::Min>},
      {"max", "a, b = none, axis = none, keep = false", extremum<Op::ReduceMax, Op::Max>},
      {"any", "x, axis = none, keep = false", test_bools<Op::ReduceMax>},
      {"all", "x, axis = none, keep = false", test_bools<Op::ReduceMin>},
      {"argmax", "x, axis = -1, keep = false", arg_extremum<Op::ArgMax>},
      {"argmin", "x, axis = -1, keep = false", arg_extremum<Op::ArgMin>},
  };
}

}  // namespace nncc
