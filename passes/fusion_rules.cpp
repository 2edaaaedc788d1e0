#include "passes/fusion_rules.h"

#include <array>

#include "ir/diagnostic.h"

namespace nncc {

namespace {

using enum OpTrait;
using AttrList = std::initializer_list<Attr>;
constexpr int Variadic = kVariadic;

// Elementwise ops need no row. Every other op does: without one, this does not compile.
template <Op op, uint32_t traits>
struct Role {
  static_assert((traits & Elementwise) != 0, "an op without a fusion role");
  static constexpr FusionRole value = FusionRole::Pointwise;
};
#define NNCC_ROLE(op, role)                               \
  template <uint32_t traits>                              \
  struct Role<Op::op, traits> {                           \
    static constexpr FusionRole value = FusionRole::role; \
  }
NNCC_ROLE(Input, Data);
NNCC_ROLE(Variable, Data);
NNCC_ROLE(Constant, Data);  // is_splat_constant() ones are Generated
NNCC_ROLE(Iota, Generated);
NNCC_ROLE(Random, Draw);
NNCC_ROLE(ReduceSum, Reduce);
NNCC_ROLE(ReduceProd, Alone);
NNCC_ROLE(ReduceMax, Reduce);
NNCC_ROLE(ReduceMin, Reduce);
NNCC_ROLE(ArgMax, Alone);
NNCC_ROLE(ArgMin, Alone);
NNCC_ROLE(Reshape, View);
NNCC_ROLE(Broadcast, Repeat);
NNCC_ROLE(Transpose, Rearrange);
NNCC_ROLE(Slice, Rearrange);
NNCC_ROLE(Pad, Rearrange);
NNCC_ROLE(Concat, Rearrange);
NNCC_ROLE(Reverse, Rearrange);
NNCC_ROLE(MatMul, Contract);
NNCC_ROLE(PackPanels, Alone);
NNCC_ROLE(MatMulPacked, Contract);
NNCC_ROLE(Attention, Alone);
NNCC_ROLE(AttentionGradient, Alone);
NNCC_ROLE(Conv, Contract);
NNCC_ROLE(ConvInputGradient, Contract);
NNCC_ROLE(ConvWeightGradient, Contract);
NNCC_ROLE(ConvPacked, Contract);
NNCC_ROLE(ConvInputGradientPacked, Contract);
NNCC_ROLE(ConvWeightGradientPacked, Contract);
NNCC_ROLE(DepthwiseConv, Contract);
NNCC_ROLE(DepthwiseConvInputGradient, Contract);
NNCC_ROLE(DepthwiseConvWeightGradient, Contract);
NNCC_ROLE(WinogradWeights, Alone);
NNCC_ROLE(WinogradInput, Alone);
NNCC_ROLE(WinogradOutputGradient, Alone);
NNCC_ROLE(WinogradWeightGradient, Alone);
NNCC_ROLE(ConvWinograd, Contract);
NNCC_ROLE(ConvWinogradTransformed, Contract);
NNCC_ROLE(ConvWinogradWeightGradient, Alone);
NNCC_ROLE(WindowSum, Windowed);
NNCC_ROLE(WindowSpread, Windowed);
NNCC_ROLE(WindowMax, Windowed);
NNCC_ROLE(WindowArgMax, Windowed);
NNCC_ROLE(WindowScatter, Windowed);
NNCC_ROLE(WindowGather, Windowed);
NNCC_ROLE(Call, Unsupported);
NNCC_ROLE(Kernel, Unsupported);
NNCC_ROLE(Gather, Rearrange);
NNCC_ROLE(ScatterAdd, Alone);
NNCC_ROLE(CheckIndex, Outside);
NNCC_ROLE(Scan, Outside);
NNCC_ROLE(Gradient, Unsupported);
#undef NNCC_ROLE

}  // namespace

FusionRole fusion_role(Op op) {
  static constexpr std::array<FusionRole, kNumOps> kRoles = {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) Role<Op::Enum, (traits)>::value,
#include "ir/ops.def"
  };
  return kRoles.at(static_cast<size_t>(op));
}

bool is_splat_constant(const Node& node) {
  if (node.op != Op::Constant) return false;
  const Literal& literal = node.attributes.literal(Attr::Value);
  return literal.is_splat() || literal.num_elements() == 1;
}

std::optional<int64_t> view_offset(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (fusion_role(node.op) == FusionRole::View) return 0;
  if (node.op != Op::Slice) return std::nullopt;
  const TensorType& from = graph.type(node.operands[0]);
  const TensorType& to = node.types[0];
  const auto& starts = node.attributes.integers(Attr::Starts);
  const auto& strides = node.attributes.integers(Attr::Strides);
  // Contiguous if, from the first axis on which more than one index is taken, everything after it is taken
  // whole.
  int64_t offset = 0;
  bool inside = false;
  for (int axis = 0; axis < from.rank(); ++axis) {
    const bool whole = from.shape[axis] == to.shape[axis];
    if (inside && !whole) return std::nullopt;
    if (to.shape[axis] > 1) {
      inside = true;
      if (strides[axis] != 1) return std::nullopt;
    }
    offset = offset * from.shape[axis] + starts[axis];
  }
  return offset * dtype_size(from.dtype);
}

bool is_contiguous_concat(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op != Op::Concat) return false;
  const Shape& shape = node.types[0].shape;
  const int64_t axis = node.attributes.integer(Attr::Axis);
  for (int64_t outer = 0; outer < axis; ++outer)
    if (shape[outer] != 1) return false;
  return true;
}

bool is_memory_view(const Graph& graph, NodeId id) {
  return view_offset(graph, id).has_value() || is_contiguous_concat(graph, id);
}

}  // namespace nncc
