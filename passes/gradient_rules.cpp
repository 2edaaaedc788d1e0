// The gradient of every primitive. In a rule, s.x(i) are the operands, s.y is the result, s.dy the gradient
// with respect to it.
#include "passes/gradient_rules.h"

#include <array>
#include <cmath>
#include <numeric>

#include "passes/graph_util.h"

namespace nncc {
namespace {

using S = GradientStep;

constexpr GradientRule differentiable(GradientFunction f) {
  return {GradientRule::Kind::Differentiable, f, {}};
}
constexpr GradientRule zero(std::string_view reason) { return {GradientRule::Kind::Zero, nullptr, reason}; }
constexpr GradientRule leaf(std::string_view reason) { return {GradientRule::Kind::Leaf, nullptr, reason}; }
constexpr GradientRule structural(std::string_view reason) {
  return {GradientRule::Kind::Structural, nullptr, reason};
}

constexpr std::string_view kSteps = "constant between its steps";
constexpr std::string_view kTruth = "a truth value does not move continuously";
constexpr std::string_view kIndex = "an index does not move continuously";
constexpr std::string_view kLayout = "gradients are made before layouts";

// ---- helpers ----

Value zeros(S& s, int operand) { return s.b.splat(s.type(operand), 0); }
Value square(GraphBuilder& b, Value v) { return b.mul(v, v); }
// c - v
Value from(GraphBuilder& b, double c, Value v) { return b.sub(b.splat_like(v, c), v); }

std::vector<int64_t> range(int64_t n) {
  std::vector<int64_t> result(n);
  std::iota(result.begin(), result.end(), 0);
  return result;
}

// v, reduced over `axes`, repeated over them again.
Value repeat_over(GraphBuilder& b, Value v, const TensorType& type, const std::vector<int64_t>& axes) {
  std::vector<int64_t> kept;
  for (int64_t axis = 0; axis < type.rank(); ++axis)
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) kept.push_back(axis);
  return b.broadcast(v, type.shape, kept);
}

Value slice(GraphBuilder& b, Value v, Shape shape, std::vector<int64_t> starts,
            std::vector<int64_t> strides) {
  TensorType type{b.type(v).dtype, std::move(shape)};
  return b.add_typed(Op::Slice, std::vector{v}, type,
                     {{Attr::Starts, std::move(starts)}, {Attr::Strides, std::move(strides)}});
}

Value pad(GraphBuilder& b, Value v, Value fill, Shape shape, std::vector<int64_t> low,
          std::vector<int64_t> interior) {
  TensorType type{b.type(v).dtype, std::move(shape)};
  return b.add_typed(Op::Pad, std::vector{v, fill}, type,
                     {{Attr::Low, std::move(low)}, {Attr::Interior, std::move(interior)}});
}

// A matmul whose first (second) operand is taken transposed where ta (tb) says so.
Value matmul(GraphBuilder& b, Value x, bool ta, Value y, bool tb) {
  return b.add(Op::MatMul, {x, y}, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}});
}

// ---- rules with some length ----

// d/da a^b = b a^(b-1), and 0 where b is 0, whatever a is.
// d/db a^b = a^b log a, and 0 where a is 0 and b is not negative; NaN below 0.
void pow_gradient(S& s) {
  GraphBuilder& b = s.b;
  const Value base = s.x(0), exponent = s.x(1);
  if (s.wants(0)) {
    if (const auto c = splat_value(b.graph(), exponent)) {
      if (*c != 0) s.give(0, b.mul(s.dy, b.mul(b.add(Op::Pow, {base, b.splat_like(exponent, *c - 1)}), *c)));
    } else {
      const Value none = b.add(Op::Eq, {exponent, zeros(s, 1)});
      const Value less = b.sub(exponent, b.splat_like(exponent, 1));
      const Value reduced = b.select(none, b.splat_like(exponent, 1), less);
      const Value slope = b.mul(exponent, b.add(Op::Pow, {base, reduced}));
      s.give(0, b.mul(s.dy, b.select(none, zeros(s, 0), slope)));
    }
  }
  if (s.wants(1)) {
    const Value flat =
        b.add(Op::And, {b.add(Op::Eq, {base, zeros(s, 0)}), b.add(Op::Ge, {exponent, zeros(s, 1)})});
    // The base is replaced before the logarithm, so that the branch not taken has no infinite derivative.
    const Value log = b.add(Op::Log, {b.select(flat, b.splat_like(base, 1), base)});
    s.give(1, b.mul(s.dy, b.mul(s.y, log)));
  }
}

// The operand that wins takes all; equals take half each. A NaN passes to both.
template <Op kLoses>  // the comparison that holds for an operand that loses
void extremum_gradient(S& s) {
  GraphBuilder& b = s.b;
  const Value none = zeros(s, 0);
  const Value tie = b.add(Op::Eq, {s.x(0), s.x(1)});
  const Value half = b.mul(s.dy, 0.5);
  for (const int i : {0, 1}) {
    if (!s.wants(i)) continue;
    const Value loses = b.add(kLoses, {s.x(i), s.x(1 - i)});
    s.give(i, b.select(tie, half, b.select(loses, none, s.dy)));
  }
}

// All elements that equal the extremum share its gradient equally.
void reduce_extremum_gradient(S& s) {
  GraphBuilder& b = s.b;
  const auto& axes = s.node.attributes.integers(Attr::Axes);
  const Value hit = b.add(Op::Eq, {s.x(0), repeat_over(b, s.y, s.type(0), axes)});
  const Value count = b.reduce(Op::ReduceSum, b.cast(hit, s.type(0).dtype), axes);
  const Value share = repeat_over(b, b.div(s.dy, count), s.type(0), axes);
  s.give(0, b.select(hit, share, zeros(s, 0)));
}

// v's last axis moved by `distance` towards higher (lower, if negative) indices, ones coming in.
Value shift_last(GraphBuilder& b, Value v, int64_t distance) {
  const TensorType type = b.type(v);
  const int last = type.rank() - 1;
  Shape kept = type.shape;
  kept[last] -= std::abs(distance);
  std::vector<int64_t> starts(type.rank(), 0), low(type.rank(), 0);
  starts[last] = std::max<int64_t>(0, -distance);
  low[last] = std::max<int64_t>(0, distance);
  const Value rest = slice(b, v, kept, starts, std::vector<int64_t>(type.rank(), 1));
  return pad(b, rest, b.scalar(type.dtype, 1), type.shape, low, std::vector<int64_t>(type.rank(), 0));
}

// For each element the product of those before it (after it, if direction is -1) along the last axis, by
// doubling.
Value exclusive_product(GraphBuilder& b, Value v, int direction) {
  const int64_t extent = b.type(v).shape.back();
  Value product = shift_last(b, v, direction);
  for (int64_t reach = 1; reach < extent - 1; reach *= 2)
    product = b.mul(product, shift_last(b, product, direction * reach));
  return product;
}

// The product of all others, without a division: right where elements are zero, and so are its own
// derivatives.
void reduce_prod_gradient(S& s) {
  GraphBuilder& b = s.b;
  const TensorType type = s.type(0);
  const auto& axes = s.node.attributes.integers(Attr::Axes);
  std::vector<int64_t> perm;
  Shape moved;
  int64_t reduced = 1;
  for (int64_t axis = 0; axis < type.rank(); ++axis) {
    if (std::find(axes.begin(), axes.end(), axis) != axes.end()) {
      reduced *= type.shape[axis];
    } else {
      perm.push_back(axis);
      moved.push_back(type.shape[axis]);
    }
  }
  perm.insert(perm.end(), axes.begin(), axes.end());
  moved.push_back(reduced);

  Value others = b.splat_like(s.x(0), 1);
  if (reduced > 1) {
    const Value rows = b.reshape(b.transpose(s.x(0), perm), moved);
    const Value product = b.mul(exclusive_product(b, rows, 1), exclusive_product(b, rows, -1));
    Shape permuted;
    std::vector<int64_t> inverse(perm.size());
    for (size_t i = 0; i < perm.size(); ++i) {
      permuted.push_back(type.shape[perm[i]]);
      inverse[perm[i]] = static_cast<int64_t>(i);
    }
    others = b.transpose(b.reshape(product, permuted), inverse);
  }
  s.give(0, b.mul(repeat_over(b, s.dy, type, axes), others));
}

void broadcast_gradient(S& s) {
  const TensorType from = s.type(0), to = s.b.type(s.dy);
  const auto& dims = s.node.attributes.integers(Attr::Dims);
  std::vector<bool> kept(to.rank(), false);
  for (size_t i = 0; i < dims.size(); ++i) kept[dims[i]] = from.shape[i] == to.shape[dims[i]];
  std::vector<int64_t> repeated;
  for (int axis = 0; axis < to.rank(); ++axis)
    if (!kept[axis]) repeated.push_back(axis);
  const Value sum = repeated.empty() ? s.dy : s.b.reduce(Op::ReduceSum, s.dy, repeated);
  s.give(0, s.b.reshape(sum, from.shape));
}

void transpose_gradient(S& s) {
  const auto& perm = s.node.attributes.integers(Attr::Perm);
  std::vector<int64_t> inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) inverse[perm[i]] = static_cast<int64_t>(i);
  s.give(0, s.b.transpose(s.dy, inverse));
}

void slice_gradient(S& s) {
  std::vector<int64_t> interior = s.node.attributes.integers(Attr::Strides);
  for (int64_t& stride : interior) --stride;
  s.give(0, pad(s.b, s.dy, s.b.scalar(s.type(0).dtype, 0), s.type(0).shape,
                s.node.attributes.integers(Attr::Starts), interior));
}

void pad_gradient(S& s) {
  GraphBuilder& b = s.b;
  const auto& low = s.node.attributes.integers(Attr::Low);
  const auto& interior = s.node.attributes.integers(Attr::Interior);
  if (s.wants(0)) {
    std::vector<int64_t> strides = interior;
    for (int64_t& stride : strides) ++stride;
    s.give(0, slice(b, s.dy, s.type(0).shape, low, strides));
  }
  if (s.wants(1)) {
    const Value inside = b.splat({DType::Bool, s.type(0).shape}, 0);
    const Value outside = pad(b, inside, b.scalar(DType::Bool, 1), b.type(s.dy).shape, low, interior);
    const Value taken = b.select(outside, s.dy, b.splat_like(s.dy, 0));
    const auto axes = range(b.type(s.dy).rank());
    s.give(1, axes.empty() ? taken : b.reduce(Op::ReduceSum, taken, axes));
  }
}

void concat_gradient(S& s) {
  const int64_t axis = s.node.attributes.integer(Attr::Axis);
  const int rank = s.b.type(s.dy).rank();
  std::vector<int64_t> starts(rank, 0);
  for (size_t i = 0; i < s.node.operands.size(); ++i) {
    const Shape shape = s.type(static_cast<int>(i)).shape;
    if (s.wants(static_cast<int>(i)))
      s.give(static_cast<int>(i), slice(s.b, s.dy, shape, starts, std::vector<int64_t>(rank, 1)));
    starts[axis] += shape[axis];
  }
}

void matmul_gradient(S& s) {
  const bool ta = s.node.attributes.boolean(Attr::TransposeA),
             tb = s.node.attributes.boolean(Attr::TransposeB);
  const Value a = s.x(0), b = s.x(1);
  if (s.wants(0)) s.give(0, ta ? matmul(s.b, b, tb, s.dy, true) : matmul(s.b, s.dy, false, b, !tb));
  if (s.wants(1)) s.give(1, tb ? matmul(s.b, s.dy, true, a, ta) : matmul(s.b, a, !ta, s.dy, false));
}

// [ceil(n / lanes), k, lanes] back to [k, n].
Value unpack_panels(GraphBuilder& b, Value panels, int64_t n) {
  const Shape shape = b.type(panels).shape;
  const Value rows = b.reshape(b.transpose(panels, {1, 0, 2}), {shape[1], shape[0] * shape[2]});
  return slice(b, rows, {shape[1], n}, {0, 0}, {1, 1});
}

void pack_panels_gradient(S& s) {
  const bool transposed = s.node.attributes.boolean(Attr::TransposeB);
  const Value rows = unpack_panels(s.b, s.dy, s.type(0).shape[transposed ? 0 : 1]);
  s.give(0, transposed ? s.b.transpose(rows, {1, 0}) : rows);
}

void matmul_packed_gradient(S& s) {
  const bool ta = s.node.attributes.boolean(Attr::TransposeA);
  if (s.wants(0)) {
    const Value b = unpack_panels(s.b, s.x(1), s.b.type(s.y).shape[1]);
    s.give(0, ta ? matmul(s.b, b, false, s.dy, true) : matmul(s.b, s.dy, false, b, true));
  }
  if (s.wants(1)) {
    const Attributes attributes{{Attr::Lanes, s.type(1).shape[2]}, {Attr::TransposeB, false}};
    s.give(1, s.b.add(Op::PackPanels, {matmul(s.b, s.x(0), !ta, s.dy, false)}, attributes));
  }
}

// The other two maps of a convolution, from what two of x, w and y are. Each is linear in both operands, so
// the gradients of all three are found among them.
Value convolve(S& s, Op op, Value a, Value b, const TensorType& result) {
  return s.b.add_typed(op, std::array{a, b}, result, s.node.attributes);
}

void conv_gradient(S& s) {  // (x, w) -> y
  if (s.wants(0)) s.give(0, convolve(s, Op::ConvInputGradient, s.dy, s.x(1), s.type(0)));
  if (s.wants(1)) s.give(1, convolve(s, Op::ConvWeightGradient, s.x(0), s.dy, s.type(1)));
}

void conv_input_gradient_gradient(S& s) {  // (y, w) -> x
  if (s.wants(0)) s.give(0, convolve(s, Op::Conv, s.dy, s.x(1), s.type(0)));
  if (s.wants(1)) s.give(1, convolve(s, Op::ConvWeightGradient, s.dy, s.x(0), s.type(1)));
}

void conv_weight_gradient_gradient(S& s) {  // (x, y) -> w
  if (s.wants(0)) s.give(0, convolve(s, Op::ConvInputGradient, s.x(1), s.dy, s.type(0)));
  if (s.wants(1)) s.give(1, convolve(s, Op::Conv, s.x(0), s.dy, s.type(1)));
}

// The transpose of a linear map over the same windows.
template <Op op>
void window_gradient(S& s) {
  s.give(0, s.b.add_typed(op, std::array{s.dy}, s.type(0), s.node.attributes));
}
template <Op op>
void selected_window_gradient(S& s) {
  s.give(0, s.b.add_typed(op, std::array{s.dy, s.x(1)}, s.type(0), s.node.attributes));
}

// To the first of the largest.
void window_max_gradient(S& s) {
  const TensorType positions{DType::I32, s.b.type(s.y).shape};
  const Value where = s.b.add_typed(Op::WindowArgMax, std::array{s.x(0)}, positions, s.node.attributes);
  s.give(0, s.b.add_typed(Op::WindowScatter, std::array{s.dy, where}, s.type(0), s.node.attributes));
}

// ---- one row for each primitive ----

void gather_gradient(S& s) {
  s.give(0, s.b.add(Op::ScatterAdd, {zeros(s, 0), s.x(1), s.dy}, s.node.attributes));
}

void scatter_add_gradient(S& s) {
  s.give(0, s.dy);
  s.give(2, s.b.add(Op::Gather, {s.dy, s.x(1)}, s.node.attributes));
}

namespace row {

constexpr auto Input = leaf("an argument");
constexpr auto Variable = leaf("a variable");
constexpr auto Constant = leaf("a constant");
constexpr auto Iota = leaf("a constant");
constexpr auto Random = leaf("a draw does not depend on data");

constexpr auto Neg = differentiable([](S& s) { s.give_negated(0, s.dy); });
constexpr auto Abs = differentiable([](S& s) { s.give(0, s.b.mul(s.dy, s.b.add(Op::Sign, {s.x(0)}))); });
constexpr auto Sign = zero(kSteps);
constexpr auto Floor = zero(kSteps);
constexpr auto Ceil = zero(kSteps);
constexpr auto Round = zero(kSteps);
constexpr auto Exp = differentiable([](S& s) { s.give(0, s.b.mul(s.dy, s.y)); });
constexpr auto Log = differentiable([](S& s) { s.give(0, s.b.div(s.dy, s.x(0))); });
constexpr auto Log1p = differentiable([](S& s) { s.give(0, s.b.div(s.dy, s.b.add(s.x(0), 1))); });
constexpr auto Expm1 = differentiable([](S& s) { s.give(0, s.b.mul(s.dy, s.b.add(s.y, 1))); });
constexpr auto Sqrt = differentiable([](S& s) { s.give(0, s.b.div(s.b.mul(s.dy, 0.5), s.y)); });
constexpr auto Rsqrt =
    differentiable([](S& s) { s.give(0, s.b.mul(s.b.mul(s.dy, -0.5), s.b.mul(s.y, square(s.b, s.y)))); });
constexpr auto Sin = differentiable([](S& s) { s.give(0, s.b.mul(s.dy, s.b.add(Op::Cos, {s.x(0)}))); });
constexpr auto Cos =
    differentiable([](S& s) { s.give_negated(0, s.b.mul(s.dy, s.b.add(Op::Sin, {s.x(0)}))); });
constexpr auto Tanh = differentiable([](S& s) { s.give(0, s.b.mul(s.dy, from(s.b, 1, square(s.b, s.y)))); });
constexpr auto Sigmoid =
    differentiable([](S& s) { s.give(0, s.b.mul(s.dy, s.b.mul(s.y, from(s.b, 1, s.y)))); });
constexpr auto Erf = differentiable([](S& s) {
  const Value bell = s.b.add(Op::Exp, {s.b.neg(square(s.b, s.x(0)))});
  s.give(0, s.b.mul(s.dy, s.b.mul(bell, 2 / std::sqrt(M_PI))));
});
constexpr auto Not = zero(kTruth);
constexpr auto IsNan = zero(kTruth);
constexpr auto IsFinite = zero(kTruth);
// Between floats; integers and bools want no gradient and get none.
constexpr auto Cast = differentiable([](S& s) { s.give(0, s.b.cast(s.dy, s.type(0).dtype)); });
constexpr auto StopGradient = zero("the program says so");

constexpr auto Add = differentiable([](S& s) { s.give(0, s.dy), s.give(1, s.dy); });
constexpr auto Sub = differentiable([](S& s) {
  s.give(0, s.dy);
  s.give_negated(1, s.dy);
});
constexpr auto Mul = differentiable([](S& s) {
  if (s.wants(0)) s.give(0, s.b.mul(s.dy, s.x(1)));
  if (s.wants(1)) s.give(1, s.b.mul(s.dy, s.x(0)));
});
constexpr auto Div = differentiable([](S& s) {
  const Value quotient = s.b.div(s.dy, s.x(1));
  s.give(0, quotient);
  if (s.wants(1)) s.give_negated(1, s.b.mul(quotient, s.y));
});
constexpr auto Pow = differentiable(pow_gradient);
constexpr auto Max = differentiable(extremum_gradient<Op::Lt>);
constexpr auto Min = differentiable(extremum_gradient<Op::Gt>);
constexpr auto Eq = zero(kTruth);
constexpr auto Ne = zero(kTruth);
constexpr auto Lt = zero(kTruth);
constexpr auto Le = zero(kTruth);
constexpr auto Gt = zero(kTruth);
constexpr auto Ge = zero(kTruth);
constexpr auto And = zero(kTruth);
constexpr auto Or = zero(kTruth);

constexpr auto Select = differentiable([](S& s) {
  if (s.wants(1)) s.give(1, s.b.select(s.x(0), s.dy, zeros(s, 1)));
  if (s.wants(2)) s.give(2, s.b.select(s.x(0), zeros(s, 2), s.dy));
});

constexpr auto ReduceSum = differentiable(
    [](S& s) { s.give(0, repeat_over(s.b, s.dy, s.type(0), s.node.attributes.integers(Attr::Axes))); });
constexpr auto ReduceProd = differentiable(reduce_prod_gradient);
constexpr auto ReduceMax = differentiable(reduce_extremum_gradient);
constexpr auto ReduceMin = differentiable(reduce_extremum_gradient);
constexpr auto ArgMax = zero(kIndex);
constexpr auto ArgMin = zero(kIndex);

constexpr auto Reshape = differentiable([](S& s) { s.give(0, s.b.reshape(s.dy, s.type(0).shape)); });
constexpr auto Broadcast = differentiable(broadcast_gradient);
constexpr auto Transpose = differentiable(transpose_gradient);
constexpr auto Slice = differentiable(slice_gradient);
constexpr auto Pad = differentiable(pad_gradient);
constexpr auto Concat = differentiable(concat_gradient);
constexpr auto Reverse =
    differentiable([](S& s) { s.give(0, s.b.add(Op::Reverse, {s.dy}, s.node.attributes)); });

constexpr auto MatMul = differentiable(matmul_gradient);
constexpr auto PackPanels = differentiable(pack_panels_gradient);
constexpr auto MatMulPacked = differentiable(matmul_packed_gradient);

constexpr auto Attention = differentiable(attention_gradient);
constexpr auto AttentionGradient = differentiable(attention_gradient_gradient);

constexpr auto Conv = differentiable(conv_gradient);
constexpr auto ConvInputGradient = differentiable(conv_input_gradient_gradient);
constexpr auto ConvWeightGradient = differentiable(conv_weight_gradient_gradient);
constexpr auto ConvPacked = structural(kLayout);
constexpr auto ConvInputGradientPacked = structural(kLayout);
constexpr auto ConvWeightGradientPacked = structural(kLayout);
constexpr auto DepthwiseConv = structural(kLayout);
constexpr auto DepthwiseConvInputGradient = structural(kLayout);
constexpr auto DepthwiseConvWeightGradient = structural(kLayout);
constexpr auto WinogradWeights = structural(kLayout);
constexpr auto WinogradInput = structural(kLayout);
constexpr auto WinogradOutputGradient = structural(kLayout);
constexpr auto WinogradWeightGradient = structural(kLayout);
constexpr auto ConvWinograd = structural(kLayout);
constexpr auto ConvWinogradTransformed = structural(kLayout);
constexpr auto ConvWinogradWeightGradient = structural(kLayout);

constexpr auto WindowSum = differentiable(window_gradient<Op::WindowSpread>);
constexpr auto WindowSpread = differentiable(window_gradient<Op::WindowSum>);
constexpr auto WindowMax = differentiable(window_max_gradient);
constexpr auto WindowArgMax = zero(kIndex);
constexpr auto WindowScatter = differentiable(selected_window_gradient<Op::WindowGather>);
constexpr auto WindowGather = differentiable(selected_window_gradient<Op::WindowScatter>);

constexpr auto Gather = differentiable(gather_gradient);
constexpr auto ScatterAdd = differentiable(scatter_add_gradient);
constexpr auto CheckIndex = zero(kIndex);

constexpr auto Call = structural("calls are inlined first, by the pass `inline`");
constexpr auto Kernel = structural("gradients are made before kernels");
constexpr auto Scan = differentiable(scan_gradient);
constexpr auto Gradient = structural("inner gradients are made before outer ones");

}  // namespace row

constexpr GradientRule kRules[] = {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) row::Enum,
#include "ir/ops.def"
};
static_assert(std::size(kRules) == kNumOps);

}  // namespace

const GradientRule& gradient_rule(Op op) { return kRules[static_cast<int>(op)]; }

}  // namespace nncc
