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

}  // namespace nncc
