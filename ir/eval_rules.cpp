// How each op computes its results: one rule for each row of ops.def. Slow and obvious; floats in double
// precision, integers exact.
#include "ir/eval_rules.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "ir/attention.h"
#include "ir/diagnostic.h"
#include "ir/index_space.h"
#include "ir/indexed_rules.h"
#include "ir/philox.h"
#include "ir/spatial_rules.h"

namespace nncc {
namespace {

using Results = std::vector<Literal>;
using Index = Coordinates;

// Integer arithmetic wraps, as in two's complement.
int64_t wrapping_neg(int64_t a) { return static_cast<int64_t>(-static_cast<uint64_t>(a)); }
int64_t wrapping_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrapping_sub(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
int64_t wrapping_mul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// Rounds down. By 0: 0, so that it never traps.
int64_t floor_div(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return wrapping_neg(a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

double max_nan(double a, double b) { return std::isnan(a) || std::isnan(b) ? std::nan("") : std::fmax(a, b); }
double min_nan(double a, double b) { return std::isnan(a) || std::isnan(b) ? std::nan("") : std::fmin(a, b); }

// Elementwise families. F: the function on floats, I: on integers, or null where the op has none.

template <auto F>
Results map_real(const EvalQuery& q) {
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i) result.set(i, F(q.operands[0].real(i)));
  return {result};
}

template <auto F, auto I>
Results map(const EvalQuery& q) {
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    if (result.is_float())
      result.set(i, F(q.operands[0].real(i)));
    else
      result.set_int(i, I(q.operands[0].integer(i)));
  }
  return {result};
}

template <auto F, auto I>
Results map2(const EvalQuery& q) {
  Literal result(q.types[0]);
  const Literal &a = q.operands[0], &b = q.operands[1];
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    if (result.is_float())
      result.set(i, F(a.real(i), b.real(i)));
    else
      result.set_int(i, I(a.integer(i), b.integer(i)));
  }
  return {result};
}

template <typename Compare>
Results compare(const EvalQuery& q) {
  Literal result(q.types[0]);
  const Literal &a = q.operands[0], &b = q.operands[1];
  for (int64_t i = 0; i < result.num_elements(); ++i)
    result.set_int(i, a.is_float() ? Compare()(a.real(i), b.real(i)) : Compare()(a.integer(i), b.integer(i)));
  return {result};
}

Results identity(const EvalQuery& q) { return {q.operands[0]}; }

// Reductions start from `start_real` or `start_int` and take the elements in row-major order.
template <auto F, auto I>
Results reduce(const EvalQuery& q, double start_real, int64_t start_int) {
  const Literal& x = q.operands[0];
  const auto& axes = q.attributes.integers(Attr::Axes);
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    if (result.is_float())
      result.set(i, start_real);
    else
      result.set_int(i, start_int);
  }
  for_each_index(x.type().shape, [&](const Index& index, int64_t i) {
    Index kept;
    for (size_t axis = 0; axis < index.size(); ++axis)
      if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) == axes.end())
        kept.push_back(index[axis]);
    const int64_t at = offset_of(kept, result.type().shape);
    if (result.is_float())
      result.set(at, F(result.real(at), x.real(i)));
    else
      result.set_int(at, I(result.integer(at), x.integer(i)));
  });
  return {result};
}

int64_t max_int(int64_t a, int64_t b) { return std::max(a, b); }
int64_t min_int(int64_t a, int64_t b) { return std::min(a, b); }

// The first of the largest (or smallest); a NaN counts as both.
template <typename Better>
Results index_of_extreme(const EvalQuery& q) {
  const Literal& x = q.operands[0];
  const int64_t axis = q.attributes.integer(Attr::Axis);
  Literal result(q.types[0]);
  for_each_index(result.type().shape, [&](const Index& kept, int64_t at) {
    Index index = kept;
    index.insert(index.begin() + axis, 0);
    const int64_t extent = x.type().shape[axis];
    int64_t best = 0, best_offset = offset_of(index, x.type().shape);
    for (int64_t i = 1; i < extent; ++i) {
      index[axis] = i;
      const int64_t offset = offset_of(index, x.type().shape);
      bool better;
      if (x.is_float()) {
        const double a = x.real(offset), b = x.real(best_offset);
        better = !std::isnan(b) && (std::isnan(a) || Better()(a, b));
      } else {
        better = Better()(x.integer(offset), x.integer(best_offset));
      }
      if (better) {
        best = i;
        best_offset = offset;
      }
    }
    result.set_int(at, best);
  });
  return {result};
}

// result[index] = operand[source(index)].
template <typename Source>
Results gather_elements(const EvalQuery& q, Source source) {
  const Literal& x = q.operands[0];
  Literal result(q.types[0]);
  for_each_index(result.type().shape, [&](const Index& index, int64_t at) {
    result.copy_elements(at, x, offset_of(source(index), x.type().shape));
  });
  return {result};
}

Results not_by_itself(const EvalQuery&) { NNCC_UNREACHABLE("the op cannot be evaluated by itself"); }

template <Op op>
Results convolve(const EvalQuery& q) {
  return evaluate_convolution(op, q);
}
template <Op op>
Results winograd(const EvalQuery& q) {
  return evaluate_winograd(op, q);
}
template <Op op>
Results window(const EvalQuery& q) {
  return evaluate_window(op, q);
}

template <Op op>
Results indexed(const EvalQuery& q) {
  return evaluate_indexed(op, q);
}

namespace rules {

constexpr auto Input = not_by_itself;
constexpr auto Variable = not_by_itself;
constexpr auto Call = not_by_itself;
constexpr auto Kernel = not_by_itself;
constexpr auto Gradient = not_by_itself;
constexpr auto Scan = not_by_itself;

Results Constant(const EvalQuery& q) { return {q.attributes.literal(Attr::Value).dense()}; }

Results Iota(const EvalQuery& q) {
  Literal result(q.types[0]);
  const int64_t axis = q.attributes.integer(Attr::Axis);
  for_each_index(result.type().shape,
                 [&](const Index& index, int64_t at) { result.set_int(at, index[axis]); });
  return {result};
}

Results Random(const EvalQuery& q) {
  Literal result(q.types[0]);
  const auto stream = static_cast<uint32_t>(q.attributes.integer(Attr::Stream));
  const int64_t seed = q.operands[0].integer(0), step = q.operands[1].integer(0);
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    const uint32_t word = random_word(seed, step, stream, i);
    result.set(i, result.type().dtype == DType::F64 ? random_unit_f64(word) : random_unit_f32(word));
  }
  return {result};
}

constexpr auto Neg = map<[](double x) { return -x; }, wrapping_neg>;
constexpr auto Abs =
    map<[](double x) { return std::fabs(x); }, [](int64_t x) { return x < 0 ? wrapping_neg(x) : x; }>;
constexpr auto Sign = map<[](double x) { return std::isnan(x) ? x : static_cast<double>((x > 0) - (x < 0)); },
                          [](int64_t x) { return static_cast<int64_t>((x > 0) - (x < 0)); }>;
constexpr auto Floor = map_real<[](double x) { return std::floor(x); }>;
constexpr auto Ceil = map_real<[](double x) { return std::ceil(x); }>;
constexpr auto Round = map_real<[](double x) { return std::nearbyint(x); }>;
constexpr auto Exp = map_real<[](double x) { return std::exp(x); }>;
constexpr auto Log = map_real<[](double x) { return std::log(x); }>;
constexpr auto Log1p = map_real<[](double x) { return std::log1p(x); }>;
constexpr auto Expm1 = map_real<[](double x) { return std::expm1(x); }>;
constexpr auto Sqrt = map_real<[](double x) { return std::sqrt(x); }>;
constexpr auto Rsqrt = map_real<[](double x) { return 1 / std::sqrt(x); }>;
constexpr auto Sin = map_real<[](double x) { return std::sin(x); }>;
constexpr auto Cos = map_real<[](double x) { return std::cos(x); }>;
constexpr auto Tanh = map_real<[](double x) { return std::tanh(x); }>;
constexpr auto Sigmoid = map_real<[](double x) { return 1 / (1 + std::exp(-x)); }>;
constexpr auto Erf = map_real<[](double x) { return std::erf(x); }>;

Results Not(const EvalQuery& q) {
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i) result.set_int(i, !q.operands[0].integer(i));
  return {result};
}

Results IsNan(const EvalQuery& q) {
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i) result.set_int(i, std::isnan(q.operands[0].real(i)));
  return {result};
}

Results IsFinite(const EvalQuery& q) {
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i) result.set_int(i, std::isfinite(q.operands[0].real(i)));
  return {result};
}

// The range of an integer type, for casts that saturate.
std::pair<int64_t, int64_t> integer_range(DType dtype) {
  switch (dtype) {
    case DType::I8:
      return {INT8_MIN, INT8_MAX};
    case DType::U8:
      return {0, UINT8_MAX};
    case DType::I32:
      return {INT32_MIN, INT32_MAX};
    default:
      return {INT64_MIN, INT64_MAX};
  }
}

Results Cast(const EvalQuery& q) {
  const Literal& x = q.operands[0];
  Literal result(q.types[0]);
  const DType to = q.types[0].dtype;
  const auto [low, high] = integer_range(to);
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    if (result.is_float() && x.is_float()) {
      result.set(i, x.real(i));
    } else if (to == DType::Bool) {
      result.set_int(i, x.is_float() ? x.real(i) != 0 : x.integer(i) != 0);
    } else if (x.is_float()) {
      result.set_int(i, std::clamp(x.integer(i), low, high));  // integer() truncates; of NaN: 0
    } else {
      result.set_int(i, x.integer(i));
    }
  }
  // A cast is there to lose digits, whatever the precision of the rest.
  result.round_to_type();
  return {result};
}

constexpr auto StopGradient = identity;

constexpr auto Add = map2<[](double a, double b) { return a + b; }, wrapping_add>;
constexpr auto Sub = map2<[](double a, double b) { return a - b; }, wrapping_sub>;
constexpr auto Mul = map2<[](double a, double b) { return a * b; }, wrapping_mul>;
constexpr auto Div = map2<[](double a, double b) { return a / b; }, floor_div>;
constexpr auto Pow = map2<[](double a, double b) { return std::pow(a, b); },
                          [](int64_t, int64_t) -> int64_t { NNCC_UNREACHABLE("pow of integers"); }>;
constexpr auto Max = map2<max_nan, max_int>;
constexpr auto Min = map2<min_nan, min_int>;
constexpr auto Eq = compare<std::equal_to<>>;
constexpr auto Ne = compare<std::not_equal_to<>>;
constexpr auto Lt = compare<std::less<>>;
constexpr auto Le = compare<std::less_equal<>>;
constexpr auto Gt = compare<std::greater<>>;
constexpr auto Ge = compare<std::greater_equal<>>;
constexpr auto And = compare<std::logical_and<>>;
constexpr auto Or = compare<std::logical_or<>>;

Results Select(const EvalQuery& q) {
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i)
    result.copy_elements(i, q.operands[q.operands[0].integer(i) ? 1 : 2], i);
  return {result};
}

Results ReduceSum(const EvalQuery& q) {
  return reduce<[](double a, double b) { return a + b; }, wrapping_add>(q, 0, 0);
}
Results ReduceProd(const EvalQuery& q) {
  return reduce<[](double a, double b) { return a * b; }, wrapping_mul>(q, 1, 1);
}
Results ReduceMax(const EvalQuery& q) {
  return reduce<max_nan, max_int>(q, -std::numeric_limits<double>::infinity(), INT64_MIN);
}
Results ReduceMin(const EvalQuery& q) {
  return reduce<min_nan, min_int>(q, std::numeric_limits<double>::infinity(), INT64_MAX);
}
constexpr auto ArgMax = index_of_extreme<std::greater<>>;
constexpr auto ArgMin = index_of_extreme<std::less<>>;

Results Reshape(const EvalQuery& q) { return {q.operands[0].reshaped(q.types[0].shape)}; }

Results Broadcast(const EvalQuery& q) {
  const auto& dims = q.attributes.integers(Attr::Dims);
  const Shape& from = q.operands[0].type().shape;
  return gather_elements(q, [&](const Index& index) {
    Index source(from.size());
    for (size_t i = 0; i < from.size(); ++i) source[i] = from[i] == 1 ? 0 : index[dims[i]];
    return source;
  });
}

Results Transpose(const EvalQuery& q) {
  const auto& perm = q.attributes.integers(Attr::Perm);
  return gather_elements(q, [&](const Index& index) {
    Index source(index.size());
    for (size_t i = 0; i < perm.size(); ++i) source[perm[i]] = index[i];
    return source;
  });
}

Results Slice(const EvalQuery& q) {
  const auto &starts = q.attributes.integers(Attr::Starts), &strides = q.attributes.integers(Attr::Strides);
  return gather_elements(q, [&](const Index& index) {
    Index source(index.size());
    for (size_t i = 0; i < index.size(); ++i) source[i] = starts[i] + index[i] * strides[i];
    return source;
  });
}

Results Pad(const EvalQuery& q) {
  const auto &low = q.attributes.integers(Attr::Low), &interior = q.attributes.integers(Attr::Interior);
  const Literal &x = q.operands[0], &value = q.operands[1];
  Literal result(q.types[0]);
  for (int64_t i = 0; i < result.num_elements(); ++i) result.copy_elements(i, value, 0);
  for_each_index(x.type().shape, [&](const Index& index, int64_t i) {
    Index target(index.size());
    for (size_t axis = 0; axis < index.size(); ++axis)
      target[axis] = low[axis] + index[axis] * (interior[axis] + 1);
    result.copy_elements(offset_of(target, result.type().shape), x, i);
  });
  return {result};
}

Results Concat(const EvalQuery& q) {
  const int64_t axis = q.attributes.integer(Attr::Axis);
  Literal result(q.types[0]);
  int64_t begin = 0;
  for (const Literal& x : q.operands) {
    for_each_index(x.type().shape, [&](Index target, int64_t i) {
      target[axis] += begin;
      result.copy_elements(offset_of(target, result.type().shape), x, i);
    });
    begin += x.type().shape[axis];
  }
  return {result};
}

Results Reverse(const EvalQuery& q) {
  const auto& axes = q.attributes.integers(Attr::Axes);
  return gather_elements(q, [&](Index index) {
    for (int64_t axis : axes) index[axis] = q.types[0].shape[axis] - 1 - index[axis];
    return index;
  });
}

Results MatMul(const EvalQuery& q) {
  const Literal &a = q.operands[0], &b = q.operands[1];
  const bool ta = q.attributes.boolean(Attr::TransposeA), tb = q.attributes.boolean(Attr::TransposeB);
  Literal result(q.types[0]);
  const size_t row = result.type().shape.size() - 2, column = row + 1;
  const int64_t inner = a.type().shape[ta ? row : column];
  for_each_index(result.type().shape, [&](const Index& index, int64_t at) {
    double real = 0;
    int64_t integer = 0;
    for (int64_t k = 0; k < inner; ++k) {
      Index ai = index, bi = index;
      ai[row] = ta ? k : index[row];
      ai[column] = ta ? index[row] : k;
      bi[row] = tb ? index[column] : k;
      bi[column] = tb ? k : index[column];
      const int64_t ao = offset_of(ai, a.type().shape), bo = offset_of(bi, b.type().shape);
      if (result.is_float())
        real += a.real(ao) * b.real(bo);
      else
        integer = wrapping_add(integer, wrapping_mul(a.integer(ao), b.integer(bo)));
    }
    if (result.is_float())
      result.set(at, real);
    else
      result.set_int(at, integer);
  });
  return {result};
}

Results PackPanels(const EvalQuery& q) {
  const Literal& x = q.operands[0];
  const bool transposed = q.attributes.boolean(Attr::TransposeB);
  const int64_t n = x.type().shape[transposed ? 0 : 1], lanes = q.attributes.integer(Attr::Lanes);
  Literal result(q.types[0]);
  for_each_index(result.type().shape, [&](const Index& index, int64_t at) {
    const int64_t column = index[0] * lanes + index[2], k = index[1];
    if (column >= n) return;  // stays 0
    result.copy_elements(at, x, offset_of(transposed ? Index{column, k} : Index{k, column}, x.type().shape));
  });
  return {result};
}

Results MatMulPacked(const EvalQuery& q) {
  // Unpacked, it is a product like any other.
  const Literal& packed = q.operands[1];
  const int64_t k = packed.type().shape[1], lanes = packed.type().shape[2], n = q.types[0].shape[1];
  Literal b(TensorType{packed.type().dtype, {k, n}});
  for_each_index(b.type().shape, [&](const Index& index, int64_t at) {
    b.copy_elements(at, packed,
                    offset_of({index[1] / lanes, index[0], index[1] % lanes}, packed.type().shape));
  });
  Attributes attributes{{Attr::TransposeA, q.attributes.boolean(Attr::TransposeA)},
                        {Attr::TransposeB, false}};
  const std::vector<Literal> operands{q.operands[0], std::move(b)};
  return MatMul({attributes, operands, q.types});
}

constexpr auto Attention = evaluate_attention;
constexpr auto AttentionGradient = evaluate_attention_gradient;

constexpr auto Conv = convolve<Op::Conv>;
constexpr auto ConvInputGradient = convolve<Op::ConvInputGradient>;
constexpr auto ConvWeightGradient = convolve<Op::ConvWeightGradient>;
constexpr auto ConvPacked = convolve<Op::ConvPacked>;
constexpr auto ConvInputGradientPacked = convolve<Op::ConvInputGradientPacked>;
constexpr auto ConvWeightGradientPacked = convolve<Op::ConvWeightGradientPacked>;
constexpr auto DepthwiseConv = convolve<Op::DepthwiseConv>;
constexpr auto DepthwiseConvInputGradient = convolve<Op::DepthwiseConvInputGradient>;
constexpr auto DepthwiseConvWeightGradient = convolve<Op::DepthwiseConvWeightGradient>;
constexpr auto WinogradWeights = winograd<Op::WinogradWeights>;
constexpr auto WinogradInput = winograd<Op::WinogradInput>;
constexpr auto WinogradOutputGradient = winograd<Op::WinogradOutputGradient>;
constexpr auto WinogradWeightGradient = winograd<Op::WinogradWeightGradient>;
constexpr auto ConvWinograd = winograd<Op::ConvWinograd>;
constexpr auto ConvWinogradTransformed = winograd<Op::ConvWinogradTransformed>;
constexpr auto ConvWinogradWeightGradient = winograd<Op::ConvWinogradWeightGradient>;
constexpr auto WindowSum = window<Op::WindowSum>;
constexpr auto WindowSpread = window<Op::WindowSpread>;
constexpr auto WindowMax = window<Op::WindowMax>;
constexpr auto WindowArgMax = window<Op::WindowArgMax>;
constexpr auto WindowScatter = window<Op::WindowScatter>;
constexpr auto WindowGather = window<Op::WindowGather>;

constexpr auto Gather = indexed<Op::Gather>;
constexpr auto ScatterAdd = indexed<Op::ScatterAdd>;
constexpr auto CheckIndex = indexed<Op::CheckIndex>;

}  // namespace rules

constexpr EvalRule kRules[] = {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) rules::Enum,
#include "ir/ops.def"
};

}  // namespace

EvalRule eval_rule(Op op) { return kRules[static_cast<size_t>(op)]; }

}  // namespace nncc
