#include "ir/scatter.h"

#include <algorithm>
#include <array>

namespace nncc {

std::optional<int> accumulated_argument(const Graph& body) {
  if (body.results.size() != 1) return std::nullopt;
  const Node& scatter = body[body.results[0].value.node];
  if (scatter.op != Op::ScatterAdd) return std::nullopt;
  const DType dtype = scatter.types[0].dtype;
  if (dtype == DType::F16 || dtype == DType::BF16) return std::nullopt;
  const Value rows = scatter.operands[0];
  const std::vector<NodeId> others =
      body.ancestors(std::array{scatter.operands[1].node, scatter.operands[2].node});
  if (std::find(others.begin(), others.end(), rows.node) != others.end()) return std::nullopt;
  for (size_t i = 0; i < body.arguments.size(); ++i)
    if (body.arguments[i].value == rows) return static_cast<int>(i);
  return std::nullopt;
}

}  // namespace nncc
