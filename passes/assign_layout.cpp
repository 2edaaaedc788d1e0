#include "passes/assign_layout.h"

#include <map>

#include "ir/builder.h"
#include "passes/channels_last.h"
#include "passes/scan_editor.h"
#include "passes/scan_order.h"
#include "passes/weight_values.h"

namespace nncc {

namespace {

// What a product that packs for itself can hold on its stack.
constexpr int64_t kLongestPanelBytes = 256 << 10;
// With fewer rows a product with a transposed operand reads both along their rows, and packing would not pay.
constexpr int64_t kFewRows = 16;

bool pays(const Graph& graph, NodeId id, int lanes, bool is_weight) {
  const Node& node = graph[id];
  if (is_weight) return true;
  const Shape& b = graph.type(node.operands[1]).shape;
  const bool transposed = node.attributes.boolean(Attr::TransposeB);
  const int64_t k = transposed ? b[1] : b[0];
  return transposed && node.types[0].shape[0] > kFewRows &&
         k * lanes * dtype_size(node.types[0].dtype) > kLongestPanelBytes;
}

int pack(Graph& graph, const std::set<NodeId>& weights, int vector_lanes) {
  GraphBuilder builder(graph);
  std::map<std::pair<Value, bool>, Value> panels;
  int packed = 0;
  for (NodeId id : graph.topological_order()) {
    if (graph[id].op != Op::MatMul || graph[id].types[0].rank() != 2 || !is_float(graph[id].types[0].dtype))
      continue;
    const Node node = graph[id];
    const Value b = node.operands[1];
    const int lanes = node.types[0].dtype == DType::F64 ? std::max(1, vector_lanes / 2) : vector_lanes;
    if (!pays(graph, id, lanes, weights.contains(b.node))) continue;
    const bool transposed = node.attributes.boolean(Attr::TransposeB);
    const Shape& shape = graph.type(b).shape;
    const int64_t n = transposed ? shape[0] : shape[1], k = transposed ? shape[1] : shape[0];
    builder.location = node.location;
    Value& panel = panels[{b, transposed}];
    if (!panel)
      panel = builder.add_typed(Op::PackPanels, std::array{b},
                                {graph.type(b).dtype, {(n + lanes - 1) / lanes, k, lanes}},
                                {{Attr::Lanes, int64_t{lanes}}, {Attr::TransposeB, transposed}});
    const Value product =
        builder.add_typed(Op::MatMulPacked, std::array{node.operands[0], panel}, node.types[0],
                          {{Attr::TransposeA, node.attributes.boolean(Attr::TransposeA)}});
    graph.set_name(product.node, node.name);
    graph.replace_all_uses({id, 0}, product);
    graph.erase(id);
    ++packed;
  }
  return packed;
}

}  // namespace

bool assign_layout(Module& module, PassContext& context) {
  ChannelsLastResult images;
  int packed = 0;
  for (Entry& entry : module.entries) {
    const ChannelsLastResult result = put_channels_last(entry.graph, context.options);
    images.convolutions += result.convolutions;
    images.transposes += result.transposes;
    images.bytes_transposed += result.bytes_transposed;
    packed += pack(entry.graph, weight_nodes(module, entry), context.options.vector_lanes);
  }
  // In a step, what is the same in all steps is what weights are in an entry.
  for_each_scan(module, [&](Graph& graph, NodeId id) {
    ScanEditor scan(module, graph, id);
    const std::vector<bool> varies = scan.varies();
    std::set<NodeId> same;
    for (const NodeId node : scan.body().nodes())
      if (!varies[node.index]) same.insert(node);
    packed += pack(scan.body(), same, context.options.vector_lanes);
  });
  context.count("convolutions over channels last", images.convolutions);
  context.count("transposes between layouts", images.transposes);
  context.count("bytes moved by transposes", images.bytes_transposed);
  context.count("products that read panels", packed);
  return packed > 0 || images.convolutions > 0;
}

}  // namespace nncc
