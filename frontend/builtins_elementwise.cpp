// Elementwise built-in functions, casts and constant queries.
#include "frontend/builtins.h"
#include "frontend/constants.h"
#include "ir/diagnostic.h"

namespace nncc {

namespace {

template <Op op>
AbstractValue function(BuiltinCall& call) {
  if (call[0].is_scalar_constant()) return fold_function(op, call[0]);
  return tensor_function(call.context, op, call.tensor(0));
}

AbstractValue cast_constant(const AbstractValue& v, DType dtype) {
  if (dtype == DType::Bool) return v.is_bool() ? v.boolean() : v.real() != 0;
  if (is_float(dtype)) return v.is_bool() ? (v.boolean() ? 1.0 : 0.0) : v.real();
  if (v.is_bool()) return int64_t{v.boolean()};
  if (v.is_int()) return v;
  if (!(v.real() > -0x1p63 && v.real() < 0x1p63))
    throw OpError("cast of " + v.describe() + " to an integer", 0);
  return static_cast<int64_t>(v.real());
}

AbstractValue cast(BuiltinCall& call) {
  if (!call[1].is_type()) call.fail(1, "an element type");
  const DType dtype = call[1].type().dtype;
  if (call[0].is_scalar_constant()) return cast_constant(call[0], dtype);
  return call.context.tensor(call.context.builder.cast(call.tensor(0).value, dtype));
}

AbstractValue where(BuiltinCall& call) {
  if (call[0].is_bool()) return call[0].boolean() ? call[1] : call[2];
  const TensorValue condition = call.tensor(0);
  if (condition.type.dtype != DType::Bool) call.fail(0, "a tensor of bool");
  auto [a, b] = unify(call.context, call[1], call[2], "where", call.float_type);
  const auto shape = broadcast_shapes(condition.type.shape, a.type.shape);
  if (!shape)
    throw OpError("`where` cannot broadcast its condition " + condition.type.str() + " with " + a.type.str());
  check_shape(*shape);
  GraphBuilder& builder = call.context.builder;
  const auto fit = [&](const TensorValue& t) { return builder.broadcast_to(t.value, *shape); };
  return call.context.tensor(builder.select(fit(condition), fit(a), fit(b)));
}

AbstractValue dtype(BuiltinCall& call) {
  if (call[0].is_type()) return TensorType{call[0].type().dtype, {}};
  if (call[0].is_tensor()) return TensorType{call[0].tensor().type.dtype, {}};
  if (call[0].is_bool()) return TensorType{DType::Bool, {}};
  if (call[0].is_int()) return TensorType{DType::I32, {}};
  if (call[0].is_float()) return TensorType{call.float_type, {}};
  call.fail(0, "a tensor or a number");
}

AbstractValue is_integer(BuiltinCall& call) {
  return call[0].is_int() || (call[0].is_tensor() && nncc::is_integer(call[0].tensor().type.dtype));
}

AbstractValue is_float(BuiltinCall& call) {
  return call[0].is_float() || (call[0].is_tensor() && nncc::is_float(call[0].tensor().type.dtype));
}

AbstractValue is_tensor(BuiltinCall& call) { return call[0].is_tensor(); }
AbstractValue is_list(BuiltinCall& call) { return call[0].is_list(); }
AbstractValue is_string(BuiltinCall& call) { return call[0].is_string(); }

}  // namespace

std::vector<Builtin> elementwise_builtins() {
  return {
      {"exp", "x", function<Op::Exp>},
      {"log", "x", function<Op::Log>},
      {"log1p", "x", function<Op::Log1p>},
      {"expm1", "x", function<Op::Expm1>},
      {"sqrt", "x", function<Op::Sqrt>},
      {"rsqrt", "x", function<Op::Rsqrt>},
      {"abs", "x", function<Op::Abs>},
      {"sign", "x", function<Op::Sign>},
      {"floor", "x", function<Op::Floor>},
      {"ceil", "x", function<Op::Ceil>},
      {"round", "x", function<Op::Round>},
      {"sin", "x", function<Op::Sin>},
      {"cos", "x", function<Op::Cos>},
      {"tanh", "x", function<Op::Tanh>},
      {"sigmoid", "x", function<Op::Sigmoid>},
      {"erf", "x", function<Op::Erf>},
      {"is_nan", "x", function<Op::IsNan>},
      {"is_finite", "x", function<Op::IsFinite>},
      {"stop_gradient", "x", function<Op::StopGradient>},
      {"cast", "x, type", cast},
      {"where", "condition, a, b", where},
      {"dtype", "x", dtype},
      {"is_integer", "x", is_integer},
      {"is_float", "x", is_float},
      {"is_tensor", "x", is_tensor},
      {"is_list", "x", is_list},
      {"is_string", "x", is_string},
  };
}

}  // namespace nncc
