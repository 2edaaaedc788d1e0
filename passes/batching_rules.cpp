// One row for each op: the steps become a new first axis, which most ops carry along as they are, and
// products and convolutions take into the axis of their rows or images.
#include "passes/batching_rules.h"

#include <array>

#include "ir/diagnostic.h"
#include "ir/scan.h"

namespace nncc {
namespace {

using enum OpTrait;
using AttrList = std::initializer_list<Attr>;
constexpr int Variadic = kVariadic;

struct Batch {
  GraphBuilder& b;
  const Graph& body;
  const Node& node;
  std::span<const BatchedValue> operands;
  int64_t steps;

  TensorType result() const { return stacked_type(node.types[0], steps); }
  // The operand with the steps in front, repeated where it is one for all.
  Value stacked(int i) const {
    if (operands[i].is_stacked) return operands[i].value;
    const TensorType type = stacked_type(b.type(operands[i].value), steps);
    std::vector<int64_t> dims;
    for (int axis = 1; axis < type.rank(); ++axis) dims.push_back(axis);
    return b.broadcast(operands[i].value, type.shape, std::move(dims));
  }
};

using Feasible = bool (*)(const Graph& body, const Node& node, std::span<const bool> stacked);
using Apply = Value (*)(const Batch&);
struct Rule {
  Feasible feasible = nullptr;  // null: never
  Apply apply = nullptr;
};

bool always(const Graph&, const Node&, std::span<const bool>) { return true; }
bool never(const Graph&, const Node&, std::span<const bool>) { return false; }

// Attributes that count axes, one further; and lists with one element for each axis, with one more in front.
Attributes with_steps(const Node& node) {
  Attributes attributes = node.attributes;
  for (const auto& [key, value] : node.attributes.list()) {
    const auto* list = std::get_if<std::vector<int64_t>>(&value);
    switch (key) {
      case Attr::Axis:
        attributes.set(key, std::get<int64_t>(value) + 1);
        break;
      case Attr::Axes: {
        std::vector<int64_t> axes = *list;
        for (int64_t& axis : axes) ++axis;
        attributes.set(key, std::move(axes));
        break;
      }
      case Attr::Dims:
      case Attr::Perm: {
        std::vector<int64_t> axes = {0};
        for (const int64_t axis : *list) axes.push_back(axis + 1);
        attributes.set(key, std::move(axes));
        break;
      }
      case Attr::Starts:
      case Attr::Low:
      case Attr::Interior:
      case Attr::Strides: {
        std::vector<int64_t> more = *list;
        more.insert(more.begin(), key == Attr::Strides ? 1 : 0);
        attributes.set(key, std::move(more));
        break;
      }
      default:
        break;
    }
  }
  return attributes;
}

Value all_stacked(const Batch& s) {
  std::vector<Value> operands;
  for (int i = 0; i < static_cast<int>(s.operands.size()); ++i) operands.push_back(s.stacked(i));
  return s.b.add_typed(s.node.op, operands, s.result(), with_steps(s.node));
}

// The value to pad with is a scalar, one for all steps.
bool is_first_alone(const Graph&, const Node&, std::span<const bool> stacked) {
  return stacked[0] && !stacked[1];
}
Value pad(const Batch& s) {
  return s.b.add_typed(Op::Pad, {s.operands[0].value, s.operands[1].value}, s.result(), with_steps(s.node));
}

// [m, k] by [k, n] in each step: rows of one product of all steps where the second operand is one for all;
// else as many products as steps.
bool can_batch_matmul(const Graph& body, const Node& node, std::span<const bool> stacked) {
  if (stacked[0] && stacked[1]) return true;
  return stacked[0] && body.type(node.operands[0]).rank() == 2 && !node.attributes.boolean(Attr::TransposeA);
}
Value matmul(const Batch& s) {
  if (s.operands[1].is_stacked) return all_stacked(s);
  const Shape& a = s.b.type(s.operands[0].value).shape;
  const Value rows = s.b.reshape(s.operands[0].value, {a[0] * a[1], a[2]});
  const Value product = s.b.add(Op::MatMul, {rows, s.operands[1].value}, s.node.attributes);
  return s.b.reshape(product, s.result().shape);
}

// Images of all steps are images, for one set of weights.
Value convolution(const Batch& s) {
  const auto joined = [&](Shape shape) {
    shape[1] *= shape[0];
    shape.erase(shape.begin());
    return shape;
  };
  const Value x = s.b.reshape(s.operands[0].value, joined(s.b.type(s.operands[0].value).shape));
  const TensorType type{s.node.types[0].dtype, joined(s.result().shape)};
  const Value y = s.b.add_typed(s.node.op, {x, s.operands[1].value}, type, s.node.attributes);
  return s.b.reshape(y, s.result().shape);
}

// From one table, along its first axis.
bool can_batch_gather(const Graph&, const Node& node, std::span<const bool> stacked) {
  return !stacked[0] && node.attributes.integer(Attr::Axis) == 0;
}
Value gather(const Batch& s) {
  return s.b.add(Op::Gather, {s.operands[0].value, s.operands[1].value}, s.node.attributes);
}

Value check_index(const Batch& s) {
  return s.b.add(Op::CheckIndex, {s.operands[0].value}, s.node.attributes);
}

// Elementwise ops need no row. Every other op does: without one, this does not compile.
template <Op op, uint32_t traits>
struct Row {
  static_assert((traits & Elementwise) != 0, "an op without a batching rule");
  static constexpr Rule value = {always, all_stacked};
};
#define NNCC_BATCH(op, feasible, apply)              \
  template <uint32_t traits>                         \
  struct Row<Op::op, traits> {                       \
    static constexpr Rule value = {feasible, apply}; \
  }
#define NNCC_ALONE(op) NNCC_BATCH(op, never, nullptr)
NNCC_ALONE(Input);
NNCC_ALONE(Variable);
NNCC_ALONE(Constant);
NNCC_ALONE(Iota);
NNCC_ALONE(Random);
NNCC_BATCH(ReduceSum, always, all_stacked);
NNCC_BATCH(ReduceProd, always, all_stacked);
NNCC_BATCH(ReduceMax, always, all_stacked);
NNCC_BATCH(ReduceMin, always, all_stacked);
NNCC_BATCH(ArgMax, always, all_stacked);
NNCC_BATCH(ArgMin, always, all_stacked);
NNCC_BATCH(Reshape, always, all_stacked);
NNCC_BATCH(Broadcast, always, all_stacked);
NNCC_BATCH(Transpose, always, all_stacked);
NNCC_BATCH(Slice, always, all_stacked);
NNCC_BATCH(Pad, is_first_alone, pad);
NNCC_BATCH(Concat, always, all_stacked);
NNCC_BATCH(Reverse, always, all_stacked);
NNCC_BATCH(MatMul, can_batch_matmul, matmul);
NNCC_ALONE(PackPanels);
NNCC_ALONE(MatMulPacked);
NNCC_ALONE(Attention);
NNCC_ALONE(AttentionGradient);
NNCC_BATCH(Conv, is_first_alone, convolution);
NNCC_BATCH(ConvInputGradient, is_first_alone, convolution);
NNCC_ALONE(ConvWeightGradient);
NNCC_ALONE(ConvPacked);
NNCC_ALONE(ConvInputGradientPacked);
NNCC_ALONE(ConvWeightGradientPacked);
NNCC_ALONE(DepthwiseConv);
NNCC_ALONE(DepthwiseConvInputGradient);
NNCC_ALONE(DepthwiseConvWeightGradient);
NNCC_ALONE(WinogradWeights);
NNCC_ALONE(WinogradInput);
NNCC_ALONE(WinogradOutputGradient);
NNCC_ALONE(WinogradWeightGradient);
NNCC_ALONE(ConvWinograd);
NNCC_ALONE(ConvWinogradTransformed);
NNCC_ALONE(ConvWinogradWeightGradient);
NNCC_ALONE(WindowSum);
NNCC_ALONE(WindowSpread);
NNCC_ALONE(WindowMax);
NNCC_ALONE(WindowArgMax);
NNCC_ALONE(WindowScatter);
NNCC_ALONE(WindowGather);
NNCC_BATCH(Gather, can_batch_gather, gather);
NNCC_ALONE(ScatterAdd);
NNCC_BATCH(CheckIndex, always, check_index);
NNCC_ALONE(Call);
NNCC_ALONE(Kernel);
NNCC_ALONE(Scan);
NNCC_ALONE(Gradient);
#undef NNCC_BATCH
#undef NNCC_ALONE

const Rule& rule(Op op) {
  static constexpr std::array<Rule, kNumOps> kRules = {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) Row<Op::Enum, (traits)>::value,
#include "ir/ops.def"
  };
  return kRules.at(static_cast<size_t>(op));
}

}  // namespace

bool can_batch(const Graph& body, NodeId node, std::span<const bool> stacked) {
  return rule(body[node].op).feasible(body, body[node], stacked);
}

Value batch(GraphBuilder& builder, const Graph& body, NodeId node, std::span<const BatchedValue> operands,
            int64_t steps) {
  return rule(body[node].op).apply({builder, body, body[node], operands, steps});
}

}  // namespace nncc
