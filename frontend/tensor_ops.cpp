#include "frontend/tensor_ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/diagnostic.h"

namespace nncc {

namespace {

using ast::BinaryOp;

std::string quoted(std::string_view text) { return "`" + std::string(text) + "`"; }

void check_fits(int64_t v, DType dtype) {
  const int bits = static_cast<int>(dtype_size(dtype) * 8);
  if (bits == 64) return;
  const int64_t low = dtype == DType::U8 ? 0 : -(int64_t{1} << (bits - 1));
  const int64_t high = dtype == DType::U8 ? 255 : (int64_t{1} << (bits - 1)) - 1;
  if (v < low || v > high)
    throw OpError("the int " + std::to_string(v) + " does not fit " + std::string(dtype_name(dtype)));
}

// Where a tensor was made, as a second place.
void note_origin(OpError& error, GraphContext& context, const TensorValue& t) {
  if (t.context != &context) return;
  const Location& location = context.graph()[t.value.node].location;
  const bool known = !error.notes.empty() && error.notes.back().first.begin == location.range.begin;
  if (location.range && !location.range.file->is_library && !known)
    error.note(location.range, "this is " + t.type.str());
}

// i32 meets i64: both are fine as indices, so they may be compared and joined.
void widen_integers(GraphContext& context, TensorValue& a, TensorValue& b) {
  const auto narrow = [](DType d) { return d == DType::I32; };
  const auto wide = [](DType d) { return d == DType::I64; };
  if (narrow(a.type.dtype) && wide(b.type.dtype))
    a = context.tensor(context.builder.cast(a.value, DType::I64));
  if (wide(a.type.dtype) && narrow(b.type.dtype))
    b = context.tensor(context.builder.cast(b.value, DType::I64));
}

void require_same_dtype(GraphContext& context, TensorValue& a, TensorValue& b, std::string_view what) {
  widen_integers(context, a, b);
  if (a.type.dtype == b.type.dtype) return;
  OpError error(quoted(what) + " joins " + a.type.str() + " with " + b.type.str() + "; cast one of them");
  note_origin(error, context, a);
  note_origin(error, context, b);
  throw error;
}

Op binary_op(BinaryOp op) {
  switch (op) {
    case BinaryOp::Add:
      return Op::Add;
    case BinaryOp::Sub:
      return Op::Sub;
    case BinaryOp::Mul:
      return Op::Mul;
    case BinaryOp::Div:
      return Op::Div;
    case BinaryOp::Pow:
      return Op::Pow;
    case BinaryOp::Eq:
      return Op::Eq;
    case BinaryOp::Ne:
      return Op::Ne;
    case BinaryOp::Lt:
      return Op::Lt;
    case BinaryOp::Le:
      return Op::Le;
    case BinaryOp::Gt:
      return Op::Gt;
    case BinaryOp::Ge:
      return Op::Ge;
    case BinaryOp::And:
      return Op::And;
    case BinaryOp::Or:
      return Op::Or;
    case BinaryOp::MatMul:
      return Op::MatMul;
  }
  NNCC_UNREACHABLE("unknown operator");
}

void check_binary_dtype(BinaryOp op, DType dtype) {
  const bool logical = op == BinaryOp::And || op == BinaryOp::Or;
  const bool equality = op == BinaryOp::Eq || op == BinaryOp::Ne;
  if (logical && dtype != DType::Bool)
    throw OpError(quoted(ast::spelling(op)) + " takes bools, found " + std::string(dtype_name(dtype)));
  if (!logical && !equality && dtype == DType::Bool)
    throw OpError(quoted(ast::spelling(op)) + " does not take bools; write cast(x, f32)");
}

// x * x * … by repeated squaring, exponent above 0.
Value multiply_out(GraphBuilder& b, Value x, int64_t exponent) {
  Value result;
  for (;;) {
    if (exponent & 1) result = result ? b.mul(result, x) : x;
    exponent >>= 1;
    if (!exponent) return result;
    x = b.mul(x, x);
  }
}

// x ** c for a constant c: small whole exponents become products.
std::optional<Value> constant_power(GraphContext& context, const TensorValue& x,
                                    const AbstractValue& exponent) {
  constexpr int64_t kLargestFloatExponent = 8;
  constexpr int64_t kLargestIntegerExponent = 64;
  GraphBuilder& b = context.builder;
  const double c = exponent.real();
  const bool whole = c == std::floor(c) && std::abs(c) <= kLargestIntegerExponent;
  if (is_integer(x.type.dtype)) {
    if (!whole || c < 0)
      throw OpError("`**` on " + x.type.str() + " takes an int from 0 to 64; cast the base to f32");
  } else if (c == 0.5) {
    return b.add(Op::Sqrt, {x.value});
  } else if (c == -0.5) {
    return b.add(Op::Rsqrt, {x.value});
  } else if (!whole || std::abs(c) > kLargestFloatExponent) {
    return std::nullopt;
  }
  if (c == 0) return b.splat_like(x.value, 1);
  const Value product = multiply_out(b, x.value, static_cast<int64_t>(std::abs(c)));
  return c < 0 ? b.div(b.splat_like(x.value, 1), product) : product;
}

}  // namespace

TensorValue make_splat(GraphContext& context, const AbstractValue& c, const TensorType& type) {
  if (!c.is_scalar_constant()) throw OpError("expected a number or a tensor, found " + c.describe());
  if (c.is_bool() != (type.dtype == DType::Bool))
    throw OpError("found " + c.describe() + " where " + std::string(dtype_name(type.dtype)) + " is expected");
  if (c.is_float() && !is_float(type.dtype))
    throw OpError(c.describe() + " meets a tensor of " + std::string(dtype_name(type.dtype)) +
                  "; cast the tensor to f32");
  if (c.is_int() && is_integer(type.dtype)) {
    check_fits(c.integer(), type.dtype);
    return context.tensor(context.builder.constant(Literal::splat_int(type, c.integer())));
  }
  const double value = c.is_bool() ? (c.boolean() ? 1 : 0) : c.real();
  return context.tensor(context.builder.splat(type, value));
}

TensorValue to_tensor(GraphContext& context, const AbstractValue& v, DType float_type) {
  if (v.is_tensor()) return v.tensor();
  const DType dtype = v.is_bool() ? DType::Bool : v.is_int() ? DType::I32 : float_type;
  return make_splat(context, v, {dtype, {}});
}

std::pair<TensorValue, TensorValue> unify(GraphContext& context, const AbstractValue& a,
                                          const AbstractValue& b, std::string_view what, DType float_type) {
  if (!a.is_tensor() && !b.is_tensor()) {
    // Numbers that meet no tensor are floats, as those of `fill` are.
    const auto convert = [&](const AbstractValue& v) {
      return v.is_number() ? make_splat(context, v, {float_type, {}}) : to_tensor(context, v, float_type);
    };
    TensorValue x = convert(a), y = convert(b);
    require_same_dtype(context, x, y, what);
    return {x, y};
  }
  if (!b.is_tensor()) return {a.tensor(), make_splat(context, b, a.tensor().type)};
  if (!a.is_tensor()) return {make_splat(context, a, b.tensor().type), b.tensor()};
  TensorValue x = a.tensor(), y = b.tensor();
  require_same_dtype(context, x, y, what);
  const auto shape = broadcast_shapes(x.type.shape, y.type.shape);
  if (!shape) {
    std::string text = quoted(what) + " cannot broadcast " + x.type.str() + " with " + y.type.str();
    for (int i = 1; i <= std::min(x.type.rank(), y.type.rank()); ++i) {
      const int64_t m = x.type.shape[x.type.rank() - i], n = y.type.shape[y.type.rank() - i];
      if (m == n || m == 1 || n == 1) continue;
      text +=
          ": extents " + std::to_string(m) + " and " + std::to_string(n) + " of axis -" + std::to_string(i);
      break;
    }
    OpError error(text);
    note_origin(error, context, x);
    note_origin(error, context, y);
    throw error;
  }
  check_shape(*shape);
  GraphBuilder& builder = context.builder;
  return {context.tensor(builder.broadcast_to(x.value, *shape)),
          context.tensor(builder.broadcast_to(y.value, *shape))};
}

TensorValue tensor_binary(GraphContext& context, BinaryOp op, const AbstractValue& a, const AbstractValue& b,
                          DType float_type) {
  if (op == BinaryOp::MatMul) {
    if (!a.is_tensor() || !b.is_tensor())
      throw OpError("`@` takes two tensors, found " + a.describe() + " and " + b.describe());
    return tensor_matmul(context, a.tensor(), b.tensor());
  }
  if (op == BinaryOp::Pow && a.is_tensor() && b.is_number())
    if (const auto product = constant_power(context, a.tensor(), b)) return context.tensor(*product);
  for (const AbstractValue* v : {&a, &b})
    if (v->is_tensor()) check_binary_dtype(op, v->tensor().type.dtype);
  const auto [x, y] = unify(context, a, b, ast::spelling(op), float_type);
  if (op == BinaryOp::Pow && !is_float(x.type.dtype))
    throw OpError("`**` with a tensor exponent takes floats, found " + x.type.str());
  return context.tensor(context.builder.add(binary_op(op), {x.value, y.value}));
}

TensorValue tensor_unary(GraphContext& context, ast::UnaryOp op, const TensorValue& v) {
  const bool is_bool = v.type.dtype == DType::Bool;
  if (op == ast::UnaryOp::Not && !is_bool) throw OpError("`not` takes bools, found " + v.type.str());
  if (op == ast::UnaryOp::Neg && is_bool) throw OpError("`-` does not take bools; write cast(x, f32)");
  return context.tensor(context.builder.add(op == ast::UnaryOp::Not ? Op::Not : Op::Neg, {v.value}));
}

TensorValue tensor_function(GraphContext& context, Op op, const TensorValue& v) {
  const bool any = op == Op::StopGradient;
  const bool integers_too = op == Op::Abs || op == Op::Sign;
  if (!any && !is_float(v.type.dtype) && !(integers_too && is_integer(v.type.dtype)))
    throw OpError(quoted(op_info(op).name) + " takes floats, found " + v.type.str(), 0);
  return context.tensor(context.builder.add(op, {v.value}));
}

TensorValue tensor_matmul(GraphContext& context, const TensorValue& a, const TensorValue& b) {
  GraphBuilder& builder = context.builder;
  TensorValue left = a, right = b;
  require_same_dtype(context, left, right, "@");
  if (!is_float(left.type.dtype)) throw OpError("`@` takes floats, found " + left.type.str());
  for (const TensorValue* t : {&left, &right})
    if (t->type.rank() == 0)
      throw OpError("`@` takes tensors with an axis, found the scalar " + t->type.str());
  Shape x = left.type.shape, y = right.type.shape;
  const bool left_vector = x.size() == 1, right_vector = y.size() == 1;
  if (left_vector) x.insert(x.begin(), 1);
  if (right_vector) y.push_back(1);
  const int64_t m = x[x.size() - 2], k = x.back(), n = y.back();
  if (k != y[y.size() - 2]) {
    OpError error("`@` cannot multiply " + left.type.str() + " by " + right.type.str() +
                  ": the inner extents are " + std::to_string(k) + " and " + std::to_string(y[y.size() - 2]));
    note_origin(error, context, a);
    note_origin(error, context, b);
    throw error;
  }
  const Shape x_lead(x.begin(), x.end() - 2), y_lead(y.begin(), y.end() - 2);
  const auto lead = broadcast_shapes(x_lead, y_lead);
  if (!lead)
    throw OpError("`@` cannot broadcast the leading extents of " + left.type.str() + " with those of " +
                  right.type.str());

  Value product;
  if (num_elements(y_lead) == 1) {  // one right-hand matrix: all rows of the left in one product
    const Value rows = builder.reshape(left.value, {num_elements(x_lead) * m, k});
    product = builder.add(Op::MatMul, {rows, builder.reshape(right.value, {k, n})},
                          {{Attr::TransposeA, false}, {Attr::TransposeB, false}});
  } else {
    const auto batched = [&](Value v, const Shape& shape, int64_t rows, int64_t columns) {
      Shape wanted = *lead;
      wanted.insert(wanted.end(), {rows, columns});
      return builder.broadcast_to(builder.reshape(v, shape), wanted);
    };
    product = builder.add(Op::MatMul, {batched(left.value, x, m, k), batched(right.value, y, k, n)},
                          {{Attr::TransposeA, false}, {Attr::TransposeB, false}});
  }
  Shape result = *lead;
  if (!left_vector) result.push_back(m);
  if (!right_vector) result.push_back(n);
  check_shape(result);
  return context.tensor(builder.reshape(product, result));
}

RangeElements range_elements(const IndexPart& part, int64_t extent) {
  const int64_t step = part.step.value_or(1);
  if (step == 0) throw OpError("the step of a range cannot be 0");
  const auto resolve = [&](int64_t i) { return i < 0 ? i + extent : i; };
  // For a negative step, what an absent end means lies outside: -1.
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
  const auto check = [&](const char* verb, int64_t written) {
    const int64_t i = resolve(written);
    if (i < 0 || i > extent)
      throw OpError(std::string("the range ") + verb + " at " + std::to_string(written) +
                    ", beyond the extent " + std::to_string(extent));
    return i;
  };
  int64_t start = step > 0 ? low : high, stop = step > 0 ? high : low;
  if (part.start) start = check("starts", *part.start);
  if (part.stop) stop = check("ends", *part.stop);
  if (step < 0 && start == extent)
    throw OpError("the range starts at " + std::to_string(start) + ", beyond the extent " +
                  std::to_string(extent));
  const int64_t distance = step > 0 ? stop - start : start - stop;
  const int64_t stride = std::abs(step);
  const int64_t count = distance > 0 ? (distance - 1) / stride + 1 : 0;
  if (count == 0) throw OpError("the range is empty; extents are at least 1");
  return {start, step, count};
}

TensorValue tensor_index(GraphContext& context, const TensorValue& v, const std::vector<IndexPart>& parts) {
  GraphBuilder& builder = context.builder;
  const int rank = v.type.rank();
  const auto is_ellipsis = [](const IndexPart& p) { return p.kind == IndexPart::Kind::Ellipsis; };
  const int ellipses = static_cast<int>(std::count_if(parts.begin(), parts.end(), is_ellipsis));
  if (ellipses > 1) throw OpError("one `..` at most in an index");
  const int given = static_cast<int>(parts.size()) - ellipses;
  if (given > rank)
    throw OpError(std::to_string(given) + " indices for " + v.type.str() + ", which has rank " +
                  std::to_string(rank));

  std::vector<int64_t> starts(rank, 0), strides(rank, 1), reversed;
  Shape taken = v.type.shape, result;
  int axis = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const IndexPart& part = parts[i];
    const auto located = [&](OpError e) {
      e.argument = static_cast<int>(i);
      return e;
    };
    if (is_ellipsis(part)) {
      for (int rest = rank - given; rest > 0; --rest) result.push_back(v.type.shape[axis++]);
      continue;
    }
    const int64_t extent = v.type.shape[axis];
    if (part.kind == IndexPart::Kind::Int) {
      const int64_t index = part.index < 0 ? part.index + extent : part.index;
      if (index < 0 || index >= extent)
        throw located(OpError("the index " + std::to_string(part.index) + " is beyond the extent " +
                              std::to_string(extent)));
      starts[axis] = index;
      taken[axis] = 1;
    } else {
      RangeElements elements{};
      try {
        elements = range_elements(part, extent);
      } catch (const OpError& e) {
        throw located(e);
      }
      const bool backwards = elements.step < 0;
      starts[axis] = backwards ? elements.first + (elements.count - 1) * elements.step : elements.first;
      strides[axis] = elements.count == 1 ? 1 : std::abs(elements.step);
      if (backwards && elements.count > 1) reversed.push_back(axis);
      taken[axis] = elements.count;
      result.push_back(elements.count);
    }
    ++axis;
  }
  while (axis < rank) result.push_back(v.type.shape[axis++]);

  Value out = v.value;
  if (taken != v.type.shape)
    out = builder.add_typed(Op::Slice, {&out, 1}, {v.type.dtype, taken},
                            {{Attr::Starts, starts}, {Attr::Strides, strides}});
  if (!reversed.empty()) out = builder.add(Op::Reverse, {out}, {{Attr::Axes, reversed}});
  return context.tensor(builder.reshape(out, result));
}

TensorValue checked_index(GraphContext& context, const TensorValue& index, int64_t extent) {
  // What the user calls it, behind what only moves it.
  const Graph& graph = context.graph();
  Value v = index.value;
  while (graph[v.node].name.empty() &&
         (op_info(graph[v.node].op).has(Movement) || graph[v.node].op == Op::Cast))
    v = graph[v.node].operands[0];
  const std::string& name = graph[v.node].name;
  return context.tensor(context.builder.add(
      Op::CheckIndex, {index.value},
      {{Attr::Extent, extent}, {Attr::Label, name.empty() ? std::string("an index") : name}}));
}

TensorValue tensor_gather(GraphContext& context, const TensorValue& x, const TensorValue& index,
                          int64_t axis) {
  const TensorValue checked = checked_index(context, index, x.type.shape[axis]);
  return context.tensor(context.builder.add(Op::Gather, {x.value, checked.value}, {{Attr::Axis, axis}}));
}

int64_t normalize_axis(int64_t axis, int rank, int argument) {
  const int64_t result = axis < 0 ? axis + rank : axis;
  if (result < 0 || result >= rank)
    throw OpError("there is no axis " + std::to_string(axis) + " in a tensor of rank " + std::to_string(rank),
                  argument);
  return result;
}

void check_shape(const Shape& shape, int argument) {
  constexpr int64_t kMostElements = INT32_MAX;
  int64_t elements = 1;
  for (const int64_t extent : shape) {
    if (extent < 1)
      throw OpError("the extent " + std::to_string(extent) + " in " + shape_text(shape) + " is below 1",
                    argument);
    if (__builtin_mul_overflow(elements, extent, &elements) || elements > kMostElements)
      throw OpError("a tensor of shape " + shape_text(shape) +
                        " is too large: " + std::to_string(kMostElements) + " elements are the most",
                    argument);
  }
}

}  // namespace nncc
