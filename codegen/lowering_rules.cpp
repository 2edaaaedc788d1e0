#include "codegen/lowering_rules.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "codegen/elementary.h"
#include "codegen/window.h"
#include "ir/diagnostic.h"
#include "ir/window.h"

namespace nncc {
using Halide::cast;
using Halide::Expr;
using Halide::select;
using Halide::Type;
using Halide::Internal::make_const;

// Befriended by Lowering; a rule gets one of these.
struct LoweringRules {
  Lowering& lowering;
  Value value;
  const Node& node;
  const Index& index;

  const TensorType& type() const { return node.types[value.result]; }
  const TensorType& operand_type(int i) const { return lowering.body().type(node.operands[i]); }
  const Attributes& attributes() const { return node.attributes; }
  // The operand at the same index: for elementwise ops.
  Expr operand(int i) const { return lowering.at(node.operands[i], index); }
  Expr operand_at(int i, const Index& where) const { return lowering.at(node.operands[i], where); }
  Expr scalar(int i) const { return lowering.at(node.operands[i], {}); }
  bool is_flat() const { return index.size() == 1 && type().rank() != 1; }
  Index full_index() const { return is_flat() ? lowering.unflatten(type().shape, index[0]) : index; }
  Expr flat_index() const { return is_flat() ? index[0] : lowering.flatten(type().shape, index); }
  Halide::ImageParam& input(int64_t i) const { return lowering.inputs_[i]; }
  std::string constant_name() const { return lowering.name_ + "_constant"; }
  std::map<NodeId, Halide::Buffer<>>& constants() const { return lowering.constants_; }
};

namespace {
using Rules = const LoweringRules&;

bool is_unsigned(const Expr& e) { return e.type().is_uint() && !e.type().is_bool(); }

// The element type as it is in expressions, from memory.
Expr from_storage(const Expr& e, DType dtype) {
  if (dtype == DType::Bool) return e != make_const(Halide::UInt(8), 0);
  return cast(compute_type(dtype), e);
}

// ---- Leaves

Expr lower_Input(Rules r) {
  return from_storage(r.input(r.attributes().integer(Attr::Index))(r.flat_index()), r.type().dtype);
}

Expr lower_Variable(Rules) { NNCC_UNREACHABLE("a variable in a kernel body"); }

Expr constant_element(const Literal& literal, int64_t i, Type type) {
  if (type.is_float()) return make_const(type, literal.real(i));
  if (type.is_bool()) return make_const(type, literal.integer(i) != 0 ? 1 : 0);
  return make_const(type, literal.integer(i));
}

// A number of the compute type.
Expr number(const Literal& literal, int64_t i, Type type) {
  return type.is_float() ? float_number(literal.real(i), type) : constant_element(literal, i, type);
}

Expr lower_Constant(Rules r) {
  const Literal& literal = r.attributes().literal(Attr::Value);
  const Type type = compute_type(r.type().dtype);
  if (literal.is_splat() || literal.num_elements() == 1) return number(literal, 0, type);
  Halide::Buffer<>& buffer = r.constants()[r.value.node];
  if (!buffer.defined()) {
    buffer = Halide::Buffer<>(storage_type(r.type().dtype), {static_cast<int>(literal.num_elements())},
                              r.constant_name() + std::to_string(r.value.node.index));
    const std::vector<std::byte> bytes = literal.to_bytes();
    std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(buffer.data()));
  }
  return from_storage(buffer(r.flat_index()), r.type().dtype);
}

Expr lower_Iota(Rules r) {
  return cast(compute_type(r.type().dtype), r.full_index()[r.attributes().integer(Attr::Axis)]);
}

Expr lower_Random(Rules r) {
  return philox_uniform(r.scalar(0), r.scalar(1), static_cast<uint32_t>(r.attributes().integer(Attr::Stream)),
                        r.flat_index(), compute_type(r.type().dtype));
}

// ---- Elementwise

Expr lower_Neg(Rules r) {
  const Expr x = r.operand(0);
  if (x.type().is_float()) return -x;
  return cast(x.type(), make_const(x.type(), 0) - x);
}
Expr lower_Abs(Rules r) {
  const Expr x = r.operand(0);
  return is_unsigned(x) ? x : cast(x.type(), Halide::abs(x));
}
Expr lower_Sign(Rules r) {
  const Expr x = r.operand(0), zero = make_const(x.type(), 0), one = make_const(x.type(), 1);
  if (is_unsigned(x)) return select(x > zero, one, zero);
  const Expr s = select(x > zero, one, select(x < zero, make_const(x.type(), -1), zero));
  return x.type().is_float() ? keep_nan(x, s) : s;
}
Expr lower_Floor(Rules r) { return Halide::floor(r.operand(0)); }
Expr lower_Ceil(Rules r) { return Halide::ceil(r.operand(0)); }
Expr lower_Round(Rules r) { return Halide::round(r.operand(0)); }
Expr lower_Exp(Rules r) { return exp_e(r.operand(0)); }
Expr lower_Log(Rules r) { return log_e(r.operand(0)); }
Expr lower_Log1p(Rules r) { return log1p_e(r.operand(0)); }
Expr lower_Expm1(Rules r) { return expm1_e(r.operand(0)); }
Expr lower_Sqrt(Rules r) { return Halide::sqrt(r.operand(0)); }
Expr lower_Rsqrt(Rules r) { return rsqrt_e(r.operand(0)); }
Expr lower_Sin(Rules r) { return sin_e(r.operand(0)); }
Expr lower_Cos(Rules r) { return cos_e(r.operand(0)); }
Expr lower_Tanh(Rules r) { return tanh_e(r.operand(0)); }
Expr lower_Sigmoid(Rules r) { return sigmoid_e(r.operand(0)); }
Expr lower_Erf(Rules r) { return erf_e(r.operand(0)); }
Expr lower_IsNan(Rules r) { return is_nan_bits(r.operand(0)); }
Expr lower_IsFinite(Rules r) { return is_finite_bits(r.operand(0)); }
Expr lower_StopGradient(Rules r) { return r.operand(0); }

// Halide takes !(a < b) for a >= b, which is wrong for NaN: say what it is.
Expr lower_Not(Rules r) {
  const Node& inner = r.lowering.body()[r.node.operands[0].node];
  const bool comparison =
      inner.op == Op::Lt || inner.op == Op::Le || inner.op == Op::Gt || inner.op == Op::Ge;
  const Expr x = r.operand(0);
  if (!comparison || !is_float(r.lowering.body().type(inner.operands[0]).dtype)) return !x;
  const Expr a = r.lowering.at(inner.operands[0], r.index), b = r.lowering.at(inner.operands[1], r.index);
  return !x || is_nan_bits(a) || is_nan_bits(b);
}

Expr lower_Cast(Rules r) {
  const Expr x = r.operand(0);
  const Type to = compute_type(r.type().dtype);
  const DType from = r.operand_type(0).dtype;
  if (from == r.type().dtype) return x;
  if (to.is_bool()) {
    const Expr nonzero = x != make_const(x.type(), 0);
    return is_float(from) ? nonzero || is_nan_bits(x) : nonzero;
  }
  if (is_float(from) && !to.is_float()) return float_to_int(x, to);
  if (x.type().is_bool()) return select(x, make_const(to, 1), make_const(to, 0));
  // Rounds to a 16-bit float where that is the result's type, and goes on in f32.
  const bool is_half = r.type().dtype == DType::F16 || r.type().dtype == DType::BF16;
  const bool is_long = from == DType::F64 || from == DType::I32 || from == DType::I64;
  const Expr single = is_half && is_long ? round_to_odd(cast<double>(x)) : cast(to, x);
  return cast(to, to_storage(single, r.type().dtype));
}

Expr lower_Add(Rules r) { return r.operand(0) + r.operand(1); }
Expr lower_Sub(Rules r) { return r.operand(0) - r.operand(1); }
Expr lower_Mul(Rules r) { return r.operand(0) * r.operand(1); }
// sqrt(x) + positive constant: what optimizers divide by. Never 0.
bool is_shifted_root(const Graph& body, Value v) {
  const Node& sum = body[v.node];
  if (sum.op != Op::Add) return false;
  for (int i : {0, 1}) {
    const auto shift = constant_value(body, sum.operands[1 - i]);
    if (body[sum.operands[i].node].op == Op::Sqrt && shift && *shift > 1e-30) return true;
  }
  return false;
}

Expr lower_Div(Rules r) {
  if (r.type().dtype == DType::F32 && !r.lowering.accurate() &&
      is_shifted_root(r.lowering.body(), r.node.operands[1]))
    return r.operand(0) * reciprocal_e(r.operand(1));
  if (is_float(r.type().dtype)) return r.operand(0) / r.operand(1);
  return floor_divide(r.operand(0), r.operand(1));
}
Expr lower_Pow(Rules r) {
  const Expr x = r.operand(0);
  if (const auto exponent = constant_value(r.lowering.body(), r.node.operands[1])) {
    const Expr one = make_const(x.type(), 1);
    if (*exponent == 0) return one;
    if (*exponent == 1) return x;
    if (*exponent == 2) return x * x;
    if (*exponent == 3) return x * x * x;
    if (*exponent == -1) return one / x;
    if (*exponent == -2) return one / (x * x);
  }
  return pow_e(x, r.operand(1));
}

// One NaN test is enough where the other operand is a number.
Expr extremum(Rules r, bool largest) {
  const Expr a = r.operand(0), b = r.operand(1);
  if (a.type().is_bool()) return largest ? a || b : a && b;
  const auto known = [&](int i) {
    const auto c = constant_value(r.lowering.body(), r.node.operands[i]);
    return c && !std::isnan(*c);
  };
  if (a.type().is_float() && (known(0) || known(1))) {
    const Expr& x = known(0) ? b : a;
    return keep_nan(x, largest ? Halide::max(a, b) : Halide::min(a, b));
  }
  return largest ? max_e(a, b) : min_e(a, b);
}
Expr lower_Max(Rules r) { return extremum(r, true); }
Expr lower_Min(Rules r) { return extremum(r, false); }

Expr lower_Eq(Rules r) { return r.operand(0) == r.operand(1); }
Expr lower_Ne(Rules r) {
  const Expr a = r.operand(0), b = r.operand(1);
  return a.type().is_float() ? a != b || is_nan_bits(a) || is_nan_bits(b) : a != b;
}
Expr lower_Lt(Rules r) { return r.operand(0) < r.operand(1); }
Expr lower_Le(Rules r) { return r.operand(0) <= r.operand(1); }
Expr lower_Gt(Rules r) { return r.operand(0) > r.operand(1); }
Expr lower_Ge(Rules r) { return r.operand(0) >= r.operand(1); }
Expr lower_And(Rules r) { return r.operand(0) && r.operand(1); }
Expr lower_Or(Rules r) { return r.operand(0) || r.operand(1); }
Expr lower_Select(Rules r) { return select(r.operand(0), r.operand(1), r.operand(2)); }

// ---- Reductions and contractions become Funcs, which schedules provide.

Expr not_provided(Rules) { NNCC_UNREACHABLE("a reduction or contraction without a schedule"); }
Expr lower_ReduceSum(Rules r) { return not_provided(r); }
Expr lower_ReduceProd(Rules r) { return not_provided(r); }
Expr lower_ReduceMax(Rules r) { return not_provided(r); }
Expr lower_ReduceMin(Rules r) { return not_provided(r); }
Expr lower_ArgMax(Rules r) { return not_provided(r); }
Expr lower_ArgMin(Rules r) { return not_provided(r); }
Expr lower_MatMul(Rules r) { return not_provided(r); }
Expr lower_MatMulPacked(Rules r) { return not_provided(r); }
Expr lower_Attention(Rules r) { return not_provided(r); }
Expr lower_AttentionGradient(Rules r) { return not_provided(r); }

Expr lower_Conv(Rules r) { return not_provided(r); }
Expr lower_ConvInputGradient(Rules r) { return not_provided(r); }
Expr lower_ConvWeightGradient(Rules r) { return not_provided(r); }
Expr lower_ConvPacked(Rules r) { return not_provided(r); }
Expr lower_ConvInputGradientPacked(Rules r) { return not_provided(r); }
Expr lower_ConvWeightGradientPacked(Rules r) { return not_provided(r); }
Expr lower_DepthwiseConv(Rules r) { return not_provided(r); }
Expr lower_DepthwiseConvInputGradient(Rules r) { return not_provided(r); }
Expr lower_DepthwiseConvWeightGradient(Rules r) { return not_provided(r); }
Expr lower_WinogradWeights(Rules r) { return not_provided(r); }
Expr lower_WinogradInput(Rules r) { return not_provided(r); }
Expr lower_WinogradOutputGradient(Rules r) { return not_provided(r); }
Expr lower_WinogradWeightGradient(Rules r) { return not_provided(r); }
Expr lower_ConvWinograd(Rules r) { return not_provided(r); }
Expr lower_ConvWinogradTransformed(Rules r) { return not_provided(r); }
Expr lower_ConvWinogradWeightGradient(Rules r) { return not_provided(r); }

// ---- Windows: small ones are written out, others become Funcs.

Expr small_window(Rules r) { return window_element(r.lowering, r.value, r.full_index()); }
Expr lower_WindowSum(Rules r) { return small_window(r); }
Expr lower_WindowSpread(Rules r) { return small_window(r); }
Expr lower_WindowMax(Rules r) { return small_window(r); }
Expr lower_WindowArgMax(Rules r) { return small_window(r); }
Expr lower_WindowScatter(Rules r) { return small_window(r); }

// The position says where in the window; outside of the image there is 0.
Expr lower_WindowGather(Rules r) {
  if (is_small_window(r.lowering.body(), r.value.node)) return small_window(r);
  const auto &sizes = r.attributes().integers(Attr::Sizes), &strides = r.attributes().integers(Attr::Strides),
             &low = r.attributes().integers(Attr::Low);
  const Shape& shape = r.operand_type(0).shape;
  Index index = r.full_index();
  Expr position = r.operand_at(1, index), inside = Halide::Internal::const_true();
  for (size_t axis = shape.size(); axis-- > 0;) {
    const int size = static_cast<int>(sizes[axis]);
    const Expr at = index[axis] * static_cast<int>(strides[axis]) + (size == 1 ? Expr(0) : position % size) -
                    static_cast<int>(low[axis]);
    if (size > 1) position = position / size;
    const int last = static_cast<int>(shape[axis]) - 1;
    inside = inside && at >= 0 && at <= last;
    index[axis] = Halide::clamp(at, 0, last);
  }
  const Expr x = r.operand_at(0, index);
  return select(Halide::Internal::simplify(inside), x, make_const(x.type(), 0));
}

// ---- Movement: other coordinates

Expr lower_Reshape(Rules r) {
  const Shape& to = r.operand_type(0).shape;
  if (r.is_flat()) {
    if (to.empty()) return r.operand_at(0, {});
    return r.operand_at(0, {r.index[0]});
  }
  return r.operand_at(0, r.lowering.reshape(r.type().shape, to, r.index));
}

Expr lower_Broadcast(Rules r) {
  const Shape& shape = r.operand_type(0).shape;
  const auto& dims = r.attributes().integers(Attr::Dims);
  if (num_elements(shape) == 1) return r.operand_at(0, Index(shape.size(), Expr(0)));
  if (r.is_flat() && shape == r.type().shape) return r.operand(0);
  const Index full = r.full_index();
  Index index;
  for (size_t i = 0; i < shape.size(); ++i) index.push_back(shape[i] == 1 ? Expr(0) : full[dims[i]]);
  return r.operand_at(0, index);
}

Expr lower_Transpose(Rules r) {
  const auto& perm = r.attributes().integers(Attr::Perm);
  const Index full = r.full_index();
  Index index(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) index[perm[i]] = full[i];
  return r.operand_at(0, index);
}

Expr lower_Slice(Rules r) {
  const auto& starts = r.attributes().integers(Attr::Starts);
  const auto& strides = r.attributes().integers(Attr::Strides);
  Index index = r.full_index();
  for (size_t i = 0; i < index.size(); ++i)
    index[i] =
        Halide::Internal::simplify(index[i] * static_cast<int>(strides[i]) + static_cast<int>(starts[i]));
  return r.operand_at(0, index);
}

// Outside of what is there the coordinates are clamped, so that nothing is read that does not exist.
Expr lower_Pad(Rules r) {
  const auto& low = r.attributes().integers(Attr::Low);
  const auto& interior = r.attributes().integers(Attr::Interior);
  const Shape& shape = r.operand_type(0).shape;
  Index index = r.full_index();
  Expr inside = Halide::Internal::const_true();
  for (size_t i = 0; i < index.size(); ++i) {
    const int step = static_cast<int>(interior[i]) + 1, extent = static_cast<int>(shape[i]),
              before = static_cast<int>(low[i]);
    const int span = (extent - 1) * step + 1, after = static_cast<int>(r.type().shape[i]) - before - span;
    Expr p = before == 0 ? index[i] : index[i] - before;
    if (before > 0) inside = inside && p >= 0;
    if (after > 0) inside = inside && p < span;
    if (step > 1) inside = inside && p % step == 0, p = p / step;
    if (before > 0 || after > 0) p = Halide::clamp(p, 0, extent - 1);
    index[i] = Halide::Internal::simplify(p);
  }
  inside = Halide::Internal::simplify(inside);
  const Expr x = r.operand_at(0, index);
  if (Halide::Internal::is_const_one(inside)) return x;
  return select(inside, x, r.scalar(1));
}

Expr lower_Concat(Rules r) {
  const int64_t axis = r.attributes().integer(Attr::Axis);
  const Index full = r.full_index();
  const Expr where = full[axis];
  Expr result;
  int end = static_cast<int>(r.type().shape[axis]);
  for (int i = static_cast<int>(r.node.operands.size()) - 1; i >= 0; --i) {
    const int extent = static_cast<int>(r.operand_type(i).shape[axis]), start = end - extent;
    Index index = full;
    index[axis] = Halide::Internal::simplify(Halide::clamp(where - start, 0, extent - 1));
    const Expr piece = r.operand_at(i, index);
    result = result.defined() ? select(where < end, piece, result) : piece;
    end = start;
  }
  return result;
}

Expr lower_Reverse(Rules r) {
  Index index = r.full_index();
  for (int64_t axis : r.attributes().integers(Attr::Axes))
    index[axis] = Halide::Internal::simplify(static_cast<int>(r.type().shape[axis]) - 1 - index[axis]);
  return r.operand_at(0, index);
}

Expr lower_PackPanels(Rules r) {
  const Index i = r.full_index();  // panel, k, lane
  const bool transposed = r.attributes().boolean(Attr::TransposeB);
  const int lanes = static_cast<int>(r.attributes().integer(Attr::Lanes));
  const int n = static_cast<int>(r.operand_type(0).shape[transposed ? 0 : 1]);
  const Expr column = Halide::Internal::simplify(i[0] * lanes + i[2]);
  const bool whole = n % lanes == 0;
  const Expr c = whole ? column : Halide::min(column, n - 1);
  const Expr x = r.operand_at(0, transposed ? Index{c, i[1]} : Index{i[1], c});
  return whole ? x : select(column < n, x, make_const(x.type(), 0));
}

// ---- By index

Expr lower_Gather(Rules r) {
  const int64_t axis = r.attributes().integer(Attr::Axis);
  const TensorType& from = r.operand_type(0);
  const auto rank = static_cast<int64_t>(r.operand_type(1).rank());
  const Index full = r.full_index();
  const Index where(full.begin() + axis, full.begin() + axis + rank);
  const Expr chosen = r.operand_at(1, where);
  Index index(full.begin(), full.begin() + axis);
  index.push_back(inside_extent(chosen, from.shape[axis]));
  index.insert(index.end(), full.begin() + axis + rank, full.end());
  return r.operand_at(0, index);
}
Expr lower_ScatterAdd(Rules) { NNCC_UNREACHABLE("scatter_add has a schedule of its own"); }
Expr lower_CheckIndex(Rules) { NNCC_UNREACHABLE("an index is checked outside of kernels"); }

// ---- Structure

Expr lower_Call(Rules) { NNCC_UNREACHABLE("a call in a kernel body"); }
Expr lower_Kernel(Rules) { NNCC_UNREACHABLE("a kernel in a kernel body"); }
Expr lower_Scan(Rules) { NNCC_UNREACHABLE("a scan in a kernel body"); }
Expr lower_Gradient(Rules) { NNCC_UNREACHABLE("a gradient in a kernel body"); }

}  // namespace

Expr float_number(double value, Type type) {
  if (std::isfinite(value)) return make_const(type, value);
  const Type bits = Halide::UInt(type.bits());
  const uint64_t pattern =
      type.bits() == 64 ? std::bit_cast<uint64_t>(value) : std::bit_cast<uint32_t>(static_cast<float>(value));
  return Halide::Internal::Call::make(type, kOpaqueNumber + std::to_string(type.bits()),
                                      {Halide::Internal::UIntImm::make(bits, pattern)},
                                      Halide::Internal::Call::PureExtern);
}

Expr lower(Lowering& lowering, Value v, const Index& index) {
  using Rule = Expr (*)(Rules);
  static constexpr Rule kRules[] = {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) lower_##Enum,
#include "ir/ops.def"
  };
  const Node& node = lowering.body()[v.node];
  return kRules[static_cast<int>(node.op)]({lowering, v, node, index});
}

}  // namespace nncc
