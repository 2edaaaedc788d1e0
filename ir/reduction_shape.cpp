#include "ir/reduction_shape.h"

#include <algorithm>
#include <optional>

namespace nncc {

ReductionShape reduction_shape(const Graph& graph, NodeId id) {
  ReductionShape result;
  const Node& node = graph[id];
  if (node.op == Op::ArgMax || node.op == Op::ArgMin) return result;
  const Shape& shape = graph.type(node.operands[0]).shape;
  const auto& axes = node.attributes.integers(Attr::Axes);
  std::optional<bool> first, last;
  int changes = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    const bool reduced = std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
    if (!first) first = reduced;
    if (last && *last != reduced) ++changes;
    last = reduced;
    (reduced == *first ? result.rows : result.cols) *= shape[axis];
  }
  if (!first || changes > 1) return result;
  if (changes == 0) {
    if (!*first) return result;
    return {ReductionShape::Full, 1, result.rows};
  }
  result.kind = *first ? ReductionShape::Outer : ReductionShape::Inner;
  return result;
}

}  // namespace nncc
