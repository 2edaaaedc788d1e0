#include "ir/reduction_shape.h"

#include <algorithm>

namespace nncc {

ReductionShape reduction_shape(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op == Op::ArgMax || node.op == Op::ArgMin) return {};
  const Shape& shape = graph.type(node.operands[0]).shape;
  const auto& axes = node.attributes.integers(Attr::Axes);
  struct Run {
    bool reduced;
    int64_t extent;
  };
  std::vector<Run> runs;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    const bool reduced = std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
    if (runs.empty() || runs.back().reduced != reduced) runs.push_back({reduced, 1});
    runs.back().extent *= shape[axis];
  }
  using enum ReductionShape::Kind;
  if (runs.empty() || runs.size() > 3) return {};
  const bool first = runs[0].reduced;
  if (runs.size() == 1) return first ? ReductionShape{Full, 1, 1, runs[0].extent} : ReductionShape{};
  if (runs.size() == 2) return {first ? Outer : Inner, 1, runs[0].extent, runs[1].extent};
  return {first ? Ends : Outer, runs[0].extent, runs[1].extent, runs[2].extent};
}

}  // namespace nncc
