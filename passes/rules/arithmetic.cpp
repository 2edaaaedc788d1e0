// Elementwise arithmetic: neutral elements, pairs that cancel, cheaper forms. None changes a result by more
// than the sign of a zero, but for powers, which become what the exponent says.
#include <array>
#include <cmath>

#include "passes/graph_util.h"
#include "passes/rules/rules.h"

namespace nncc {
namespace {

using R = Rewrite;

Value other_if(const R& r, double neutral) {
  if (r.is_splat(r.x(1), neutral)) return r.x(0);
  if (r.is_splat(r.x(0), neutral)) return r.x(1);
  return {};
}

Value add_zero(const R& r) { return other_if(r, 0); }
Value sub_zero(const R& r) { return r.is_splat(r.x(1), 0) ? r.x(0) : Value{}; }
Value mul_one(const R& r) { return other_if(r, 1); }
Value div_one(const R& r) { return r.is_splat(r.x(1), 1) ? r.x(0) : Value{}; }

// Of floats, 0 times infinity or NaN is NaN.
Value integer_mul_zero(const R& r) {
  if (!is_integer(r.type().dtype) || !(r.is_splat(r.x(0), 0) || r.is_splat(r.x(1), 0))) return {};
  return r.b.splat(r.type(), 0);
}

Value mul_minus_one(const R& r) {
  const Value v = other_if(r, -1);
  return v ? r.b.neg(v) : v;
}

// Up to sign; 2^±14 are normal numbers in every element type.
bool is_power_of_two(double c) {
  int exponent = 0;
  return std::abs(std::frexp(c, &exponent)) == 0.5 && std::abs(exponent - 1) <= 14;
}

// A division by a power of two is exact as a multiplication.
Value div_power_of_two(const R& r) {
  const auto c = r.splat(r.x(1));
  if (!c || !is_float(r.type().dtype) || !is_power_of_two(*c) || r.is_splat(r.x(0), 1)) return {};
  return r.b.mul(r.x(0), 1 / *c);
}

// A product of floats by a constant.
struct Scaled {
  Value value;
  double factor;
};
std::optional<Scaled> scaled(const R& r, const Node& node) {
  if (node.op != Op::Mul || !is_float(node.types[0].dtype)) return std::nullopt;
  for (const int i : {0, 1})
    if (const auto c = r.splat(node.operands[i])) return Scaled{node.operands[1 - i], *c};
  return std::nullopt;
}

// (x * c) * d is x * (c * d), exact if one of them is a power of two.
Value mul_of_scaled(const R& r) {
  const auto outer = scaled(r, r.node());
  const Node* product = outer ? r.made_by(outer->value, Op::Mul) : nullptr;
  const auto inner = product ? scaled(r, *product) : std::nullopt;
  if (!inner || !(is_power_of_two(inner->factor) || is_power_of_two(outer->factor))) return {};
  return r.b.mul(inner->value, inner->factor * outer->factor);
}

Value neg_of_scaled(const R& r) {
  const Node* product = r.made_by(r.x(), Op::Mul);
  const auto inner = product ? scaled(r, *product) : std::nullopt;
  return inner && r.only_use(r.x()) ? r.b.mul(inner->value, -inner->factor) : Value{};
}

// x + x is a product by 2, which may join another factor.
Value add_same(const R& r) {
  return r.x(0) == r.x(1) && is_float(r.type().dtype) ? r.b.mul(r.x(0), 2) : Value{};
}

template <Op op>
Value twice(const R& r) {
  const Node* inner = r.made_by(r.x(), op);
  return inner ? inner->operands[0] : Value{};
}

Value add_neg(const R& r) {
  if (const Node* neg = r.made_by(r.x(1), Op::Neg)) return r.b.sub(r.x(0), neg->operands[0]);
  if (const Node* neg = r.made_by(r.x(0), Op::Neg)) return r.b.sub(r.x(1), neg->operands[0]);
  return {};
}

Value sub_neg(const R& r) {
  const Node* neg = r.made_by(r.x(1), Op::Neg);
  return neg ? r.b.add(r.x(0), neg->operands[0]) : Value{};
}

Value neg_sub(const R& r) {
  const Node* sub = r.made_by(r.x(), Op::Sub);
  return sub && r.only_use(r.x()) ? r.b.sub(sub->operands[1], sub->operands[0]) : Value{};
}

Value same_operands(const R& r) { return r.x(0) == r.x(1) ? r.x(0) : Value{}; }

Value and_constant(const R& r) {
  if (r.is_splat(r.x(0), 0)) return r.x(0);
  if (r.is_splat(r.x(1), 0)) return r.x(1);
  return other_if(r, 1);
}

Value or_constant(const R& r) {
  if (r.is_splat(r.x(0), 1)) return r.x(0);
  if (r.is_splat(r.x(1), 1)) return r.x(1);
  return other_if(r, 0);
}

Value select_equal(const R& r) { return r.x(1) == r.x(2) ? r.x(1) : Value{}; }

Value select_constant(const R& r) {
  const auto c = r.splat(r.x(0));
  return c ? r.x(*c != 0 ? 1 : 2) : Value{};
}

Value select_not(const R& r) {
  const Node* condition = r.made_by(r.x(0), Op::Not);
  return condition ? r.b.select(condition->operands[0], r.x(2), r.x(1)) : Value{};
}

Value select_truth(const R& r) {
  return r.type().dtype == DType::Bool && r.is_splat(r.x(1), 1) && r.is_splat(r.x(2), 0) ? r.x(0) : Value{};
}

// As PyTorch does: 0.5 is a square root, also of -0 and -inf.
Value pow_constant(const R& r) {
  const auto c = r.splat(r.x(1));
  const Value x = r.x(0);
  if (!c) return {};
  const auto square = [&] { return r.b.mul(x, x); };
  const auto one_over = [&](Value v) { return r.b.div(r.b.splat_like(x, 1), v); };
  if (*c == 0) return r.b.splat_like(x, 1);
  if (*c == 1) return x;
  if (*c == 2) return square();
  if (*c == 3) return r.b.mul(square(), x);
  if (*c == 0.5) return r.b.add(Op::Sqrt, {x});
  if (*c == -0.5) return r.b.add(Op::Rsqrt, {x});
  if (*c == -1) return one_over(x);
  if (*c == -2) return one_over(square());
  return {};
}

Value cast_same(const R& r) { return r.type() == r.type(r.x()) ? r.x() : Value{}; }

// Every value of `from` is one of `to`.
bool is_widening(DType from, DType to) {
  switch (from) {
    case DType::Bool:
      return true;
    case DType::I8:
    case DType::U8:
      return to == from || (to != DType::I8 && to != DType::U8 && to != DType::Bool);
    case DType::I32:
      return to == from || to == DType::I64 || to == DType::F64;
    case DType::F16:
    case DType::BF16:
      return to == from || to == DType::F32 || to == DType::F64;
    case DType::F32:
      return to == from || to == DType::F64;
    case DType::I64:
    case DType::F64:
      return to == from;
  }
  return false;
}

// The first cast loses nothing, so it need not be taken.
Value cast_of_cast(const R& r) {
  const Node* inner = r.made_by(r.x(), Op::Cast);
  if (!inner || !is_widening(r.type(inner->operands[0]).dtype, inner->types[0].dtype)) return {};
  return r.b.cast(inner->operands[0], r.type().dtype);
}

Value stop_gradient(const R& r) { return r.gradients_left ? Value{} : r.x(); }

// op(broadcast a, broadcast b) is broadcast(op(a, b)); constants of one value come along.
Value elementwise_of_broadcast(const R& r) {
  const Node* first = nullptr;
  for (const Value v : r.node().operands) {
    const Node* broadcast = r.made_by(v, Op::Broadcast);
    if (!broadcast) {
      if (!r.constant(v) || !r.splat(v)) return {};
      continue;
    }
    if (!first) first = broadcast;
    const bool agrees = broadcast->attributes == first->attributes &&
                        r.type(broadcast->operands[0]).shape == r.type(first->operands[0]).shape;
    if (!agrees) return {};
  }
  if (!first) return {};
  const Shape shape = r.type(first->operands[0]).shape;
  std::vector<Value> operands;
  for (const Value v : r.node().operands) {
    const Node* broadcast = r.made_by(v, Op::Broadcast);
    operands.push_back(broadcast ? broadcast->operands[0]
                                 : r.b.constant(splat_of(*r.constant(v), {r.type(v).dtype, shape})));
  }
  const Value small = r.b.add_typed(r.node().op, operands, {r.type().dtype, shape}, r.node().attributes);
  return r.b.broadcast(small, r.type().shape, first->attributes.integers(Attr::Dims));
}

// Rows that are added to zeros only to be added to something: gradients of a table that is read twice.
Value add_scattered(const R& r) {
  for (const int i : {0, 1}) {
    const Node* scatter = r.made_by(r.x(i), Op::ScatterAdd);
    if (!scatter || !r.only_use(r.x(i)) || !r.is_splat(scatter->operands[0], 0)) continue;
    const std::array operands = {r.x(1 - i), scatter->operands[1], scatter->operands[2]};
    return r.b.add(Op::ScatterAdd, operands, scatter->attributes);
  }
  return {};
}

}  // namespace

std::span<const RewriteRule> arithmetic_rules() {
  static const RewriteRule kRules[] = {
      {"add-zero", {Op::Add}, add_zero},
      {"sub-zero", {Op::Sub}, sub_zero},
      {"mul-one", {Op::Mul}, mul_one},
      {"div-one", {Op::Div}, div_one},
      {"integer-mul-zero", {Op::Mul}, integer_mul_zero},
      {"mul-minus-one", {Op::Mul}, mul_minus_one},
      {"div-power-of-two", {Op::Div}, div_power_of_two},
      {"mul-of-scaled", {Op::Mul}, mul_of_scaled},
      {"neg-of-scaled", {Op::Neg}, neg_of_scaled},
      {"add-same", {Op::Add}, add_same},
      {"add-of-scatter-add", {Op::Add}, add_scattered},
      {"neg-of-neg", {Op::Neg}, twice<Op::Neg>},
      {"not-of-not", {Op::Not}, twice<Op::Not>},
      {"add-of-neg", {Op::Add}, add_neg},
      {"sub-of-neg", {Op::Sub}, sub_neg},
      {"neg-of-sub", {Op::Neg}, neg_sub},
      {"same-operands", {Op::Max, Op::Min, Op::And, Op::Or}, same_operands},
      {"and-constant", {Op::And}, and_constant},
      {"or-constant", {Op::Or}, or_constant},
      {"select-equal-branches", {Op::Select}, select_equal},
      {"select-constant", {Op::Select}, select_constant},
      {"select-of-not", {Op::Select}, select_not},
      {"select-of-truth", {Op::Select}, select_truth},
      {"pow-constant", {Op::Pow}, pow_constant},
      {"cast-to-same", {Op::Cast}, cast_same},
      {"cast-of-cast", {Op::Cast}, cast_of_cast},
      {"remove-stop-gradient", {Op::StopGradient}, stop_gradient},
      {"elementwise-of-broadcast", ops_with(Elementwise), elementwise_of_broadcast},
  };
  return kRules;
}

}  // namespace nncc
