#include "codegen/pooling.h"

#include <algorithm>
#include <array>

namespace nncc {

std::optional<PooledBody> pooled_body(const Graph& body, Value convolution) {
  std::optional<PooledBody> pooled;
  for (NodeId id : body.nodes()) {
    const Node& node = body[id];
    if (!op_info(node.op).has(Window)) continue;
    const auto pooling = pooling_after(body, convolution.node, id);
    if (!pooling) return std::nullopt;
    if (pooled && (pooled->operand != node.operands[0] || pooled->pooling != *pooling)) return std::nullopt;
    pooled = {{id, 0}, node.operands[0], *pooling};
  }
  if (!pooled) return std::nullopt;
  const int64_t elements = body.type(convolution).num_elements(),
                pools = body.type(pooled->window).num_elements();
  for (const Graph::Result& result : body.results)
    if (body.type(result.value).num_elements() != pools) return std::nullopt;
  const std::vector<NodeId> made = body.descendants(std::array{convolution.node});
  if (std::find(made.begin(), made.end(), pooled->window.node) == made.end()) return std::nullopt;
  for (NodeId id : made) {
    const Node& node = body[id];
    const int64_t count = node.types[0].num_elements();
    if (id == convolution.node || op_info(node.op).has(Window)) continue;
    if (!op_info(node.op).has(Elementwise) && node.op != Op::Reshape) return std::nullopt;
    if (count != elements && count != pools) return std::nullopt;
  }
  return pooled;
}

}  // namespace nncc
