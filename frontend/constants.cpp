#include "frontend/constants.h"

#include <cmath>
#include <limits>

#include "ir/diagnostic.h"

namespace nncc {

namespace {

using ast::BinaryOp;

[[noreturn]] void overflow(std::string_view op) {
  throw OpError("the result of `" + std::string(op) + "` does not fit 64 bits");
}

// The arithmetic of both kinds of number: integers of 64 bits, checked, and floats.
int64_t add(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) overflow("+");
  return r;
}
int64_t subtract(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_sub_overflow(a, b, &r)) overflow("-");
  return r;
}
int64_t multiply(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) overflow("*");
  return r;
}
// Rounds down.
int64_t divide(int64_t a, int64_t b) {
  if (b == 0) throw OpError("division of " + std::to_string(a) + " by zero");
  if (a == std::numeric_limits<int64_t>::min() && b == -1) overflow("/");
  const int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}
// A float if the exponent is negative.
AbstractValue power(int64_t base, int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  if (base == 0 || base == 1) return exponent == 0 ? int64_t{1} : base;
  if (base == -1) return int64_t{exponent % 2 ? -1 : 1};
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i)
    if (__builtin_mul_overflow(result, base, &result)) overflow("**");
  return result;
}

double add(double a, double b) { return a + b; }
double subtract(double a, double b) { return a - b; }
double multiply(double a, double b) { return a * b; }
double divide(double a, double b) { return a / b; }
double power(double base, double exponent) { return std::pow(base, exponent); }

template <class Number>
AbstractValue fold_numbers(BinaryOp op, Number a, Number b) {
  switch (op) {
    case BinaryOp::Add:
      return add(a, b);
    case BinaryOp::Sub:
      return subtract(a, b);
    case BinaryOp::Mul:
      return multiply(a, b);
    case BinaryOp::Div:
      return divide(a, b);
    case BinaryOp::Pow:
      return power(a, b);
    case BinaryOp::Lt:
      return a < b;
    case BinaryOp::Le:
      return a <= b;
    case BinaryOp::Gt:
      return a > b;
    case BinaryOp::Ge:
      return a >= b;
    default:
      NNCC_UNREACHABLE("not arithmetic");
  }
}

AbstractValue repeat(const AbstractValue& list, int64_t n) {
  constexpr int64_t kLongest = 1 << 20;
  if (n > 0 && static_cast<int64_t>(list.elements().size()) > kLongest / n)
    throw OpError("the list would have more than " + std::to_string(kLongest) + " elements");
  std::vector<AbstractValue> out;
  for (int64_t i = 0; i < n; ++i) out.insert(out.end(), list.elements().begin(), list.elements().end());
  return AbstractValue::list(std::move(out));
}

int sign_of(double v) { return v > 0 ? 1 : v < 0 ? -1 : 0; }

}  // namespace

AbstractValue fold_binary(BinaryOp op, const AbstractValue& a, const AbstractValue& b) {
  if (op == BinaryOp::Eq) return a == b;
  if (op == BinaryOp::Ne) return !(a == b);
  if (a.is_int() && b.is_int() && op != BinaryOp::MatMul) return fold_numbers(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number() && op != BinaryOp::MatMul) return fold_numbers(op, a.real(), b.real());
  if (op == BinaryOp::Add && a.is_list() && b.is_list()) {
    auto out = a.elements();
    out.insert(out.end(), b.elements().begin(), b.elements().end());
    return AbstractValue::list(std::move(out));
  }
  if (op == BinaryOp::Add && a.is_string() && b.is_string()) return a.string() + b.string();
  if (op == BinaryOp::Mul && a.is_list() && b.is_int()) return repeat(a, b.integer());
  if (op == BinaryOp::Mul && a.is_int() && b.is_list()) return repeat(b, a.integer());
  throw OpError("`" + std::string(ast::spelling(op)) + "` does not take " + a.describe() + " and " +
                b.describe());
}

AbstractValue fold_unary(ast::UnaryOp op, const AbstractValue& v) {
  if (op == ast::UnaryOp::Not) {
    if (!v.is_bool()) throw OpError("`not` takes a bool, found " + v.describe());
    return !v.boolean();
  }
  if (v.is_int()) {
    if (v.integer() == std::numeric_limits<int64_t>::min()) overflow("-");
    return -v.integer();
  }
  if (v.is_float()) return -v.real();
  throw OpError("`-` takes a number, found " + v.describe());
}

AbstractValue fold_function(Op op, const AbstractValue& v) {
  if (!v.is_number())
    throw OpError("`" + std::string(op_info(op).name) + "` takes a number, found " + v.describe(), 0);
  const double x = v.real();
  switch (op) {
    case Op::Abs:
      if (v.is_int()) return v.integer() < 0 ? fold_unary(ast::UnaryOp::Neg, v) : v;
      return std::fabs(x);
    case Op::Sign:
      if (v.is_int()) return static_cast<int64_t>(sign_of(x));
      return std::isnan(x) ? x : static_cast<double>(sign_of(x));
    case Op::Floor:
      if (v.is_int()) return v;
      return std::floor(x);
    case Op::Ceil:
      if (v.is_int()) return v;
      return std::ceil(x);
    case Op::Round:
      if (v.is_int()) return v;
      return std::nearbyint(x);
    case Op::StopGradient:
      return v;
    case Op::Exp:
      return std::exp(x);
    case Op::Log:
      return std::log(x);
    case Op::Log1p:
      return std::log1p(x);
    case Op::Expm1:
      return std::expm1(x);
    case Op::Sqrt:
      return std::sqrt(x);
    case Op::Rsqrt:
      return 1 / std::sqrt(x);
    case Op::Sin:
      return std::sin(x);
    case Op::Cos:
      return std::cos(x);
    case Op::Tanh:
      return std::tanh(x);
    case Op::Sigmoid:
      return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
    case Op::Erf:
      return std::erf(x);
    case Op::IsNan:
      return std::isnan(x);
    case Op::IsFinite:
      return std::isfinite(x);
    default:
      NNCC_UNREACHABLE("no function of a constant");
  }
}

AbstractValue fold_extremum(Op op, const AbstractValue& a, const AbstractValue& b) {
  const std::string name(op_info(op).name);
  if (!a.is_number()) throw OpError("`" + name + "` takes numbers, found " + a.describe(), 0);
  if (!b.is_number()) throw OpError("`" + name + "` takes numbers, found " + b.describe(), 1);
  if (a.is_int() && b.is_int())
    return op == Op::Max ? std::max(a.integer(), b.integer()) : std::min(a.integer(), b.integer());
  const double x = a.real(), y = b.real();
  if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
  return op == Op::Max ? std::max(x, y) : std::min(x, y);
}

bool is_lossy_division(const AbstractValue& a, const AbstractValue& b) {
  return a.is_int() && b.is_int() && a.integer() != 0 && b.integer() != 0 &&
         divide(a.integer(), b.integer()) == 0;
}

}  // namespace nncc
