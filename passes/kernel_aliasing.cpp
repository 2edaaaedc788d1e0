#include "passes/kernel_aliasing.h"

#include <algorithm>

#include "passes/fusion_rules.h"

namespace nncc {

bool may_overwrite(const Function& kernel, int argument, int result) {
  const Graph& body = kernel.body;
  const Value source = body.arguments[argument].value;
  const TensorType& from = body.type(source);
  const TensorType& to = body.type(body.results[result].value);
  if (from.num_elements() != to.num_elements() || dtype_size(from.dtype) != dtype_size(to.dtype))
    return false;
  // A form that computes some elements twice, as tiles that overlap do, would read what it has written.
  for (NodeId id : body.nodes()) {
    const FusionRole role = fusion_role(body[id].op);
    if (role == FusionRole::Reduce || role == FusionRole::Contract || role == FusionRole::Alone) return false;
  }
  // Between results that read the argument at one index, codegen/ stores after it has loaded; more is not
  // asked of it.
  const auto readers = body.descendants(std::array{source.node});
  if (std::find(readers.begin(), readers.end(), body.results[result].value.node) == readers.end())
    return false;
  for (NodeId id : readers) {
    if (id == source.node) continue;
    const FusionRole role = fusion_role(body[id].op);
    if (role != FusionRole::Pointwise && role != FusionRole::View) return false;
    if (body[id].types[0].num_elements() != from.num_elements()) return false;
  }
  return true;
}

namespace {

bool stores_rows(Op op) {
  switch (op) {
    case Op::MatMul:
    case Op::MatMulPacked:
    case Op::ConvPacked:
    case Op::ConvInputGradientPacked:
    case Op::ConvWinograd:
    case Op::ConvWinogradTransformed:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool may_lie_in_rows(const Function& kernel, int result, int64_t row) {
  const Graph& body = kernel.body;
  NodeId product;
  for (NodeId id : body.nodes()) {
    for (const TensorType& type : body[id].types)
      if (type.dtype == DType::F16 || type.dtype == DType::BF16) return false;
    const FusionRole role = fusion_role(body[id].op);
    if (role == FusionRole::Reduce || role == FusionRole::Alone || role == FusionRole::Windowed) return false;
    if (role != FusionRole::Contract) continue;
    if (product || !stores_rows(body[id].op)) return false;
    product = id;
  }
  if (!product || row < 2 || body[product].types[0].shape.back() != row) return false;
  const TensorType& type = body.type(body.results[result].value);
  if (type.num_elements() != body[product].types[0].num_elements()) return false;
  int64_t inner = 1;
  for (size_t axis = type.shape.size(); axis-- > 0 && inner < row;) inner *= type.shape[axis];
  return inner == row;
}

}  // namespace nncc
