// The result types of every op and what the verifier demands of it: one rule for each row of ops.def.
#include <algorithm>

#include "ir/attention.h"
#include "ir/builder.h"
#include "ir/diagnostic.h"
#include "ir/indexed_rules.h"
#include "ir/spatial_rules.h"

namespace nncc {
namespace {

using Types = std::vector<TensorType>;

// What a rule sees. The number of operands and the attributes' presence and kind have been checked.
struct Query {
  const OpInfo& info;
  std::span<const TensorType> operands;
  const Attributes& attributes;
  std::span<const TensorType> wanted;
  std::string& error;

  Types fail(std::string message) const {
    error = std::move(message);
    return {};
  }
  const TensorType& operand(size_t i) const { return operands[i]; }
};

std::string list_text(const std::vector<int64_t>& list) {
  std::string text = "[";
  for (size_t i = 0; i < list.size(); ++i) text += (i ? ", " : "") + std::to_string(list[i]);
  return text + "]";
}

bool is_numeric(DType dtype) { return dtype != DType::Bool; }
bool is_any(DType) { return true; }
bool is_bool(DType dtype) { return dtype == DType::Bool; }

using DTypeTest = bool (*)(DType);
std::string_view describe(DTypeTest test) {
  if (test == is_float) return "floats";
  if (test == is_bool) return "bools";
  if (test == is_numeric) return "numbers";
  return "any element type";
}

bool check_dtype(const Query& q, size_t i, DTypeTest test) {
  if (test(q.operand(i).dtype)) return true;
  q.fail("operand " + std::to_string(i) + " is " + q.operand(i).str() + ", expected " +
         std::string(describe(test)));
  return false;
}

// For ops whose result the operands do not determine.
const TensorType* demand_wanted(const Query& q) {
  if (q.wanted.size() == 1) return &q.wanted[0];
  q.fail("the result type must be given");
  return nullptr;
}

bool check_wanted_dtype(const Query& q, DType dtype) {
  if (q.wanted[0].dtype == dtype) return true;
  q.fail("the result has element type " + std::string(dtype_name(q.wanted[0].dtype)) + ", expected " +
         std::string(dtype_name(dtype)));
  return false;
}

bool check_axis(const Query& q, int64_t axis, int rank) {
  if (axis >= 0 && axis < rank) return true;
  q.fail("axis " + std::to_string(axis) + " is not below the rank " + std::to_string(rank));
  return false;
}

// Increasing and below `rank`.
bool check_axes(const Query& q, const std::vector<int64_t>& axes, int rank) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (!check_axis(q, axes[i], rank)) return false;
    if (i > 0 && axes[i] <= axes[i - 1]) {
      q.fail("axes " + list_text(axes) + " do not increase");
      return false;
    }
  }
  return true;
}

bool check_length(const Query& q, Attr attr, int rank) {
  const auto& list = q.attributes.integers(attr);
  if (static_cast<int>(list.size()) == rank) return true;
  q.fail("`" + std::string(attr_name(attr)) + "` has " + std::to_string(list.size()) +
         " elements, expected " + std::to_string(rank));
  return false;
}

// Families of rules.

template <DTypeTest test>
Types unary(const Query& q) {
  if (!check_dtype(q, 0, test)) return {};
  return {q.operand(0)};
}

template <DTypeTest test>
Types test_of(const Query& q) {
  if (!check_dtype(q, 0, test)) return {};
  return {{DType::Bool, q.operand(0).shape}};
}

template <DTypeTest test>
bool check_equal_pair(const Query& q) {
  if (!check_dtype(q, 0, test)) return false;
  if (q.operand(0) == q.operand(1)) return true;
  q.fail("operands have different types, " + q.operand(0).str() + " and " + q.operand(1).str());
  return false;
}

template <DTypeTest test>
Types binary(const Query& q) {
  if (!check_equal_pair<test>(q)) return {};
  return {q.operand(0)};
}

template <DTypeTest test>
Types comparison(const Query& q) {
  if (!check_equal_pair<test>(q)) return {};
  return {{DType::Bool, q.operand(0).shape}};
}

Shape without_axes(const Shape& shape, const std::vector<int64_t>& axes) {
  Shape result;
  for (size_t i = 0; i < shape.size(); ++i)
    if (!std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i))) result.push_back(shape[i]);
  return result;
}

template <DTypeTest test>
Types reduction(const Query& q) {
  const auto& axes = q.attributes.integers(Attr::Axes);
  if (!check_dtype(q, 0, test) || !check_axes(q, axes, q.operand(0).rank())) return {};
  if (axes.empty()) return q.fail("`axes` is empty");
  return {{q.operand(0).dtype, without_axes(q.operand(0).shape, axes)}};
}

Types index_of_extreme(const Query& q) {
  const int64_t axis = q.attributes.integer(Attr::Axis);
  if (!check_dtype(q, 0, is_numeric) || !check_axis(q, axis, q.operand(0).rank())) return {};
  return {{DType::I32, without_axes(q.operand(0).shape, {axis})}};
}

// The operands leave the results open: whoever adds the node knows them, and verify() knows the function.
Types as_wanted(const Query& q) { return Types(q.wanted.begin(), q.wanted.end()); }

using SpatialRule = Types (*)(Op, std::span<const TensorType>, const Attributes&, const TensorType&,
                              std::string&);
template <SpatialRule rule>
Types spatial(const Query& q) {
  if (!demand_wanted(q)) return {};
  return rule(q.info.op, q.operands, q.attributes, q.wanted[0], q.error);
}

namespace rules {

Types Input(const Query& q) {
  if (!demand_wanted(q)) return {};
  if (q.attributes.integer(Attr::Index) < 0) return q.fail("`index` is negative");
  return {q.wanted[0]};
}

Types Variable(const Query& q) {
  if (!demand_wanted(q)) return {};
  return {q.wanted[0]};
}

Types Constant(const Query& q) { return {q.attributes.literal(Attr::Value).type()}; }

Types Iota(const Query& q) {
  if (!demand_wanted(q) || !check_axis(q, q.attributes.integer(Attr::Axis), q.wanted[0].rank())) return {};
  if (!is_numeric(q.wanted[0].dtype))
    return q.fail("the result is " + q.wanted[0].str() + ", expected numbers");
  return {q.wanted[0]};
}

Types Random(const Query& q) {
  if (!demand_wanted(q)) return {};
  for (size_t i = 0; i < 2; ++i)
    if (q.operand(i) != TensorType{DType::I64, {}})
      return q.fail("operand " + std::to_string(i) + " is " + q.operand(i).str() + ", expected i64");
  const DType dtype = q.wanted[0].dtype;
  if (dtype != DType::F32 && dtype != DType::F64)
    return q.fail("the result is " + q.wanted[0].str() + ", expected f32 or f64");
  const int64_t stream = q.attributes.integer(Attr::Stream);
  if (stream < 0 || stream > UINT32_MAX) return q.fail("`stream` is not in 0 … 2^32 - 1");
  return {q.wanted[0]};
}

constexpr auto Neg = unary<is_numeric>;
constexpr auto Abs = unary<is_numeric>;
constexpr auto Sign = unary<is_numeric>;
constexpr auto Floor = unary<is_float>;
constexpr auto Ceil = unary<is_float>;
constexpr auto Round = unary<is_float>;
constexpr auto Exp = unary<is_float>;
constexpr auto Log = unary<is_float>;
constexpr auto Log1p = unary<is_float>;
constexpr auto Expm1 = unary<is_float>;
constexpr auto Sqrt = unary<is_float>;
constexpr auto Rsqrt = unary<is_float>;
constexpr auto Sin = unary<is_float>;
constexpr auto Cos = unary<is_float>;
constexpr auto Tanh = unary<is_float>;
constexpr auto Sigmoid = unary<is_float>;
constexpr auto Erf = unary<is_float>;
constexpr auto Not = unary<is_bool>;
constexpr auto IsNan = test_of<is_float>;
constexpr auto IsFinite = test_of<is_float>;
constexpr auto StopGradient = unary<is_any>;

Types Cast(const Query& q) {
  if (!demand_wanted(q)) return {};
  return {{q.wanted[0].dtype, q.operand(0).shape}};
}

constexpr auto Add = binary<is_numeric>;
constexpr auto Sub = binary<is_numeric>;
constexpr auto Mul = binary<is_numeric>;
constexpr auto Div = binary<is_numeric>;
constexpr auto Pow = binary<is_float>;
constexpr auto Max = binary<is_numeric>;
constexpr auto Min = binary<is_numeric>;
constexpr auto Eq = comparison<is_any>;
constexpr auto Ne = comparison<is_any>;
constexpr auto Lt = comparison<is_numeric>;
constexpr auto Le = comparison<is_numeric>;
constexpr auto Gt = comparison<is_numeric>;
constexpr auto Ge = comparison<is_numeric>;
constexpr auto And = binary<is_bool>;
constexpr auto Or = binary<is_bool>;

Types Select(const Query& q) {
  if (!check_dtype(q, 0, is_bool)) return {};
  if (q.operand(1) != q.operand(2))
    return q.fail("operands 1 and 2 have different types, " + q.operand(1).str() + " and " +
                  q.operand(2).str());
  if (q.operand(0).shape != q.operand(1).shape)
    return q.fail("the condition is " + q.operand(0).str() + " where the operands are " + q.operand(1).str());
  return {q.operand(1)};
}

constexpr auto ReduceSum = reduction<is_numeric>;
constexpr auto ReduceProd = reduction<is_numeric>;
constexpr auto ReduceMax = reduction<is_any>;
constexpr auto ReduceMin = reduction<is_any>;
constexpr auto ArgMax = index_of_extreme;
constexpr auto ArgMin = index_of_extreme;

Types Reshape(const Query& q) {
  if (!demand_wanted(q) || !check_wanted_dtype(q, q.operand(0).dtype)) return {};
  if (q.wanted[0].num_elements() != q.operand(0).num_elements())
    return q.fail(q.operand(0).str() + " and " + q.wanted[0].str() + " have different numbers of elements");
  return {q.wanted[0]};
}

Types Broadcast(const Query& q) {
  if (!demand_wanted(q) || !check_wanted_dtype(q, q.operand(0).dtype)) return {};
  const auto& dims = q.attributes.integers(Attr::Dims);
  const TensorType &from = q.operand(0), &to = q.wanted[0];
  if (!check_length(q, Attr::Dims, from.rank()) || !check_axes(q, dims, to.rank())) return {};
  for (size_t i = 0; i < dims.size(); ++i)
    if (from.shape[i] != 1 && from.shape[i] != to.shape[dims[i]])
      return q.fail("axis " + std::to_string(i) + " of " + from.str() + " does not fit axis " +
                    std::to_string(dims[i]) + " of " + to.str());
  return {to};
}

Types Transpose(const Query& q) {
  const auto& perm = q.attributes.integers(Attr::Perm);
  const TensorType& x = q.operand(0);
  if (!check_length(q, Attr::Perm, x.rank())) return {};
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  TensorType result{x.dtype, {}};
  for (size_t i = 0; i < perm.size(); ++i)
    if (sorted[i] != static_cast<int64_t>(i))
      return q.fail("`perm` " + list_text(perm) + " is not a permutation");
  for (int64_t axis : perm) result.shape.push_back(x.shape[axis]);
  return {result};
}

Types Slice(const Query& q) {
  if (!demand_wanted(q) || !check_wanted_dtype(q, q.operand(0).dtype)) return {};
  const TensorType &x = q.operand(0), &to = q.wanted[0];
  if (!check_length(q, Attr::Starts, x.rank()) || !check_length(q, Attr::Strides, x.rank())) return {};
  if (to.rank() != x.rank()) return q.fail("the result " + to.str() + " has another rank than " + x.str());
  const auto &starts = q.attributes.integers(Attr::Starts), &strides = q.attributes.integers(Attr::Strides);
  for (size_t i = 0; i < starts.size(); ++i) {
    if (strides[i] < 1) return q.fail("`strides` " + list_text(strides) + " are not all above 0");
    const __int128 last = starts[i] + static_cast<__int128>(to.shape[i] - 1) * strides[i];
    if (starts[i] < 0 || last >= x.shape[i])
      return q.fail("axis " + std::to_string(i) + " of the slice leaves " + x.str());
  }
  return {to};
}

Types Pad(const Query& q) {
  if (!demand_wanted(q) || !check_wanted_dtype(q, q.operand(0).dtype)) return {};
  const TensorType &x = q.operand(0), &to = q.wanted[0];
  if (q.operand(1) != TensorType{x.dtype, {}})
    return q.fail("the padding value is " + q.operand(1).str() + ", expected " +
                  std::string(dtype_name(x.dtype)));
  if (!check_length(q, Attr::Low, x.rank()) || !check_length(q, Attr::Interior, x.rank())) return {};
  if (to.rank() != x.rank()) return q.fail("the result " + to.str() + " has another rank than " + x.str());
  const auto &low = q.attributes.integers(Attr::Low), &interior = q.attributes.integers(Attr::Interior);
  for (size_t i = 0; i < low.size(); ++i) {
    if (low[i] < 0 || interior[i] < 0) return q.fail("`low` and `interior` must not be negative");
    const __int128 last =
        low[i] + static_cast<__int128>(x.shape[i] - 1) * (static_cast<__int128>(interior[i]) + 1);
    if (last >= to.shape[i])
      return q.fail("axis " + std::to_string(i) + " of the result " + to.str() + " is too short");
  }
  return {to};
}

Types Concat(const Query& q) {
  if (q.operands.empty()) return q.fail("there is no operand");
  const int64_t axis = q.attributes.integer(Attr::Axis);
  TensorType result = q.operand(0);
  if (!check_axis(q, axis, result.rank())) return {};
  for (size_t i = 1; i < q.operands.size(); ++i) {
    TensorType aligned = q.operand(i);
    if (aligned.rank() == result.rank()) aligned.shape[axis] = q.operand(0).shape[axis];
    if (aligned != q.operand(0))
      return q.fail("operand " + std::to_string(i) + " is " + q.operand(i).str() + ", which does not fit " +
                    q.operand(0).str() + " along axis " + std::to_string(axis));
    result.shape[axis] += q.operand(i).shape[axis];
  }
  return {result};
}

Types Reverse(const Query& q) {
  if (!check_axes(q, q.attributes.integers(Attr::Axes), q.operand(0).rank())) return {};
  return {q.operand(0)};
}

Types MatMul(const Query& q) {
  const TensorType &a = q.operand(0), &b = q.operand(1);
  if (!check_dtype(q, 0, is_numeric)) return {};
  if (a.dtype != b.dtype || a.rank() != b.rank() || a.rank() < 2 ||
      !std::equal(a.shape.begin(), a.shape.end() - 2, b.shape.begin()))
    return q.fail(a.str() + " and " + b.str() +
                  " are not matrices with equal element types and leading extents");
  const bool ta = q.attributes.boolean(Attr::TransposeA), tb = q.attributes.boolean(Attr::TransposeB);
  const int rank = a.rank();
  const int64_t m = a.shape[rank - (ta ? 1 : 2)], ka = a.shape[rank - (ta ? 2 : 1)];
  const int64_t kb = b.shape[rank - (tb ? 1 : 2)], n = b.shape[rank - (tb ? 2 : 1)];
  if (ka != kb)
    return q.fail("inner extents of " + a.str() + " and " + b.str() + " differ, " + std::to_string(ka) +
                  " and " + std::to_string(kb));
  TensorType result = a;
  result.shape[rank - 2] = m;
  result.shape[rank - 1] = n;
  return {result};
}

Types PackPanels(const Query& q) {
  const TensorType& x = q.operand(0);
  const int64_t lanes = q.attributes.integer(Attr::Lanes);
  if (!check_dtype(q, 0, is_numeric)) return {};
  if (x.rank() != 2) return q.fail("the operand is " + x.str() + ", expected a matrix");
  if (lanes < 1 || lanes > 4096) return q.fail("`lanes` is not in 1 … 4096");
  const bool transposed = q.attributes.boolean(Attr::TransposeB);
  const int64_t k = x.shape[transposed ? 1 : 0], n = x.shape[transposed ? 0 : 1];
  return {{x.dtype, {(n + lanes - 1) / lanes, k, lanes}}};
}

Types MatMulPacked(const Query& q) {
  if (!demand_wanted(q) || !check_dtype(q, 0, is_numeric) || !check_wanted_dtype(q, q.operand(0).dtype))
    return {};
  const TensorType &a = q.operand(0), &b = q.operand(1), &to = q.wanted[0];
  if (a.dtype != b.dtype || a.rank() != 2 || b.rank() != 3 || to.rank() != 2)
    return q.fail(a.str() + " and " + b.str() + " are not a matrix and its packed partner");
  const bool ta = q.attributes.boolean(Attr::TransposeA);
  const int64_t m = a.shape[ta ? 1 : 0], k = a.shape[ta ? 0 : 1];
  const int64_t lanes = b.shape[2], n = to.shape[1];
  if (k != b.shape[1])
    return q.fail("inner extents of " + a.str() + " and " + b.str() + " differ, " + std::to_string(k) +
                  " and " + std::to_string(b.shape[1]));
  if (to.shape[0] != m || (n + lanes - 1) / lanes != b.shape[0])
    return q.fail("the result " + to.str() + " does not fit " + a.str() + " and " + b.str());
  return {to};
}

template <Op op>
Types attention(const Query& q) {
  return attention_types(op, q.operands, q.attributes, q.error);
}
constexpr auto Attention = attention<Op::Attention>;
constexpr auto AttentionGradient = attention<Op::AttentionGradient>;

constexpr auto Conv = spatial<convolution_types>;
constexpr auto ConvInputGradient = spatial<convolution_types>;
constexpr auto ConvWeightGradient = spatial<convolution_types>;
constexpr auto ConvPacked = spatial<convolution_types>;
constexpr auto ConvInputGradientPacked = spatial<convolution_types>;
constexpr auto ConvWeightGradientPacked = spatial<convolution_types>;
constexpr auto DepthwiseConv = spatial<convolution_types>;
constexpr auto DepthwiseConvInputGradient = spatial<convolution_types>;
constexpr auto DepthwiseConvWeightGradient = spatial<convolution_types>;
constexpr auto WinogradWeights = spatial<winograd_types>;
constexpr auto WinogradInput = spatial<winograd_types>;
constexpr auto WinogradOutputGradient = spatial<winograd_types>;
constexpr auto WinogradWeightGradient = spatial<winograd_types>;
constexpr auto ConvWinograd = spatial<winograd_types>;
constexpr auto ConvWinogradTransformed = spatial<winograd_types>;
constexpr auto ConvWinogradWeightGradient = spatial<winograd_types>;
constexpr auto WindowSum = spatial<window_types>;
constexpr auto WindowSpread = spatial<window_types>;
constexpr auto WindowMax = spatial<window_types>;
constexpr auto WindowArgMax = spatial<window_types>;
constexpr auto WindowScatter = spatial<window_types>;
constexpr auto WindowGather = spatial<window_types>;

template <Op op>
Types indexed(const Query& q) {
  return indexed_types(op, q.operands, q.attributes, q.error);
}
constexpr auto Gather = indexed<Op::Gather>;
constexpr auto ScatterAdd = indexed<Op::ScatterAdd>;
constexpr auto CheckIndex = indexed<Op::CheckIndex>;

constexpr auto Call = as_wanted;
constexpr auto Kernel = as_wanted;

// What of each step there is: the rest is the step function's to say, and verify()'s to compare.
Types Scan(const Query& q) {
  const int64_t steps = q.attributes.integer(Attr::Steps), carries = q.attributes.integer(Attr::Carries),
                sequences = q.attributes.integer(Attr::Sequences);
  if (steps < 1) return q.fail("there is no step");
  if (carries < 0 || sequences < 0 || carries + sequences > static_cast<int64_t>(q.operands.size()))
    return q.fail(std::to_string(q.operands.size()) + " operands, expected " + std::to_string(carries) +
                  " carried and " + std::to_string(sequences) + " sequences");
  if (carries > static_cast<int64_t>(q.wanted.size()))
    return q.fail(std::to_string(q.wanted.size()) + " results, expected " + std::to_string(carries) +
                  " carried");
  for (int64_t i = 0; i < carries; ++i)
    if (q.operand(i) != q.wanted[i])
      return q.fail("carried value " + std::to_string(i) + " is " + q.operand(i).str() + " at first and " +
                    q.wanted[i].str() + " at last");
  for (int64_t i = carries; i < carries + sequences; ++i)
    if (q.operand(i).rank() == 0 || q.operand(i).shape[0] != steps)
      return q.fail("operand " + std::to_string(i) + " is " + q.operand(i).str() + ", no sequence of " +
                    std::to_string(steps) + " steps");
  return as_wanted(q);
}

Types Gradient(const Query& q) {
  if (q.operands.size() < 2) return q.fail("there is nothing to differentiate by");
  if (q.operand(0).rank() != 0) return q.fail("the loss is " + q.operand(0).str() + ", expected a scalar");
  for (size_t i = 0; i < q.operands.size(); ++i)
    if (!check_dtype(q, i, is_float)) return {};
  return Types(q.operands.begin() + 1, q.operands.end());
}

}  // namespace rules

using Rule = Types (*)(const Query&);
constexpr Rule kRules[] = {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) rules::Enum,
#include "ir/ops.def"
};

std::string_view kind_text(AttrKind kind) {
  switch (kind) {
    case AttrKind::Integer:
      return "an integer";
    case AttrKind::Boolean:
      return "true or false";
    case AttrKind::String:
      return "a symbol";
    case AttrKind::Integers:
      return "a list of integers";
    case AttrKind::Literal:
      return "a literal";
  }
  NNCC_UNREACHABLE("unknown kind of attribute");
}

bool check_attributes(const OpInfo& info, const Attributes& attributes, std::string& error) {
  for (Attr attr : info.attributes) {
    const AttrValue* value = attributes.find(attr);
    if (!value) {
      error = "attribute `" + std::string(attr_name(attr)) + "` is missing";
      return false;
    }
    if (value->index() != static_cast<size_t>(attr_kind(attr))) {
      error = "attribute `" + std::string(attr_name(attr)) + "` is not " +
              std::string(kind_text(attr_kind(attr)));
      return false;
    }
  }
  for (const auto& [attr, value] : attributes.list()) {
    if (std::find(info.attributes.begin(), info.attributes.end(), attr) == info.attributes.end()) {
      error = "attribute `" + std::string(attr_name(attr)) + "` does not belong to the op";
      return false;
    }
  }
  return true;
}

std::string types_text(std::span<const TensorType> types) {
  std::string text;
  for (const TensorType& type : types) text += (text.empty() ? "" : ", ") + type.str();
  return text.empty() ? "nothing" : text;
}

}  // namespace

std::vector<TensorType> infer_types(Op op, std::span<const TensorType> operands, const Attributes& attributes,
                                    std::span<const TensorType> wanted, std::string& error) {
  error.clear();
  const OpInfo& info = op_info(op);
  if (info.num_operands != kVariadic && static_cast<size_t>(info.num_operands) != operands.size()) {
    error = std::to_string(operands.size()) + " operands, expected " + std::to_string(info.num_operands);
    return {};
  }
  if (!check_attributes(info, attributes, error)) return {};
  Types types = kRules[static_cast<size_t>(op)](Query{info, operands, attributes, wanted, error});
  if (!error.empty()) return {};
  if (!wanted.empty() && !std::equal(wanted.begin(), wanted.end(), types.begin(), types.end())) {
    error = "the result is " + types_text(types) + ", not " + types_text(wanted);
    return {};
  }
  return types;
}

}  // namespace nncc
