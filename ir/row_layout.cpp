#include "ir/row_layout.h"

namespace nncc {

namespace {

int64_t elements_from_axis(const Shape& shape, int64_t axis) {
  int64_t elements = 1;
  for (size_t i = static_cast<size_t>(axis); i < shape.size(); ++i) elements *= shape[i];
  return elements;
}

}  // namespace

RowLayout layout_in_concat(const Graph& graph, NodeId concat, size_t operand) {
  const Node& node = graph[concat];
  const int64_t axis = node.attributes.integer(Attr::Axis);
  return {elements_from_axis(graph.type(node.operands[operand]).shape, axis),
          elements_from_axis(node.types[0].shape, axis)};
}

std::optional<RowLayout> row_layout(const Graph& graph, Value v) {
  for (const Use& use : graph.uses(v)) {
    const Node& user = graph[use.user];
    if (user.op == Op::Reshape)
      if (const auto layout = row_layout(graph, {use.user, 0})) return layout;
    if (user.op != Op::Concat) continue;
    const RowLayout layout = layout_in_concat(graph, use.user, static_cast<size_t>(use.operand));
    // One row lies like any vector.
    if (layout.row != graph.type(v).num_elements()) return layout;
  }
  return std::nullopt;
}

std::vector<std::optional<RowLayout>> result_layouts(const Graph& graph, NodeId kernel) {
  std::vector<std::optional<RowLayout>> layouts;
  bool contiguous = true;
  for (size_t i = 0; i < graph[kernel].types.size(); ++i) {
    layouts.push_back(row_layout(graph, {kernel, static_cast<int>(i)}));
    contiguous = contiguous && !layouts.back();
  }
  if (contiguous) layouts.clear();
  return layouts;
}

std::string kernel_variant(const Graph& graph, NodeId kernel) {
  std::string name = graph[kernel].attributes.string(Attr::Symbol);
  const auto layouts = result_layouts(graph, kernel);
  for (size_t i = 0; i < layouts.size(); ++i)
    if (layouts[i])
      name += " r" + std::to_string(i) + " in " + std::to_string(layouts[i]->row) + " of " +
              std::to_string(layouts[i]->pitch);
  return name;
}

}  // namespace nncc
