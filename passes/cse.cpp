#include "passes/cse.h"

#include <algorithm>
#include <bit>
#include <set>
#include <unordered_map>

#include "llvm/ADT/Hashing.h"
#include "passes/graph_util.h"

namespace nncc {
namespace {

std::vector<Value> ordered_operands(const Node& node) {
  std::vector<Value> operands = node.operands;
  if (op_info(node.op).has(Commutative)) std::sort(operands.begin(), operands.end());
  return operands;
}

struct HashAttribute {
  llvm::hash_code operator()(int64_t v) const { return llvm::hash_value(v); }
  llvm::hash_code operator()(bool v) const { return llvm::hash_value(static_cast<int>(v)); }
  llvm::hash_code operator()(const std::string& v) const { return llvm::hash_value(v); }
  llvm::hash_code operator()(const std::vector<int64_t>& v) const {
    return llvm::hash_combine_range(v.begin(), v.end());
  }
  llvm::hash_code operator()(const Literal& v) const {
    const int64_t n = v.is_splat() ? 1 : v.num_elements();
    llvm::hash_code code = llvm::hash_value(n);
    for (int64_t i = 0; i < n; ++i)
      code = llvm::hash_combine(
          code, v.is_float() ? std::bit_cast<uint64_t>(v.real(i)) : static_cast<uint64_t>(v.integer(i)));
    return code;
  }
};

size_t hash_node(const Node& node) {
  llvm::hash_code code = llvm::hash_combine(static_cast<int>(node.op), node.types.size());
  for (const Value v : ordered_operands(node)) code = llvm::hash_combine(code, v.node.index, v.result);
  for (const TensorType& type : node.types)
    code = llvm::hash_combine(code, static_cast<int>(type.dtype),
                              llvm::hash_combine_range(type.shape.begin(), type.shape.end()));
  for (const Attr key : op_info(node.op).attributes)
    if (const AttrValue* value = node.attributes.find(key))
      code = llvm::hash_combine(code, std::visit(HashAttribute{}, *value));
  return code;
}

bool same_attribute(const AttrValue* a, const AttrValue* b) {
  if (!a || !b) return a == b;
  const auto* x = std::get_if<Literal>(a);
  const auto* y = std::get_if<Literal>(b);
  return x && y ? identical(*x, *y) : *a == *b;
}

bool same_node(const Node& a, const Node& b) {
  if (a.op != b.op || a.types != b.types || ordered_operands(a) != ordered_operands(b)) return false;
  const auto& keys = op_info(a.op).attributes;
  return std::all_of(keys.begin(), keys.end(), [&](Attr key) {
    return same_attribute(a.attributes.find(key), b.attributes.find(key));
  });
}

int merge_equal_nodes(Graph& graph) {
  const std::set<NodeId> opaque = differentiated(graph);
  std::unordered_map<size_t, std::vector<NodeId>> seen;
  int merged = 0;
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph[id];
    // Arguments are not interchangeable, nor are values that gradients are taken with respect to.
    if (node.op == Op::Input || opaque.count(id)) continue;
    std::vector<NodeId>& candidates = seen[hash_node(node)];
    const auto twin = std::find_if(candidates.begin(), candidates.end(),
                                   [&](NodeId c) { return same_node(graph[c], node); });
    if (twin == candidates.end()) {
      candidates.push_back(id);
      continue;
    }
    if (graph[*twin].name.empty()) graph.set_name(*twin, node.name);
    for (size_t i = 0; i < graph[id].types.size(); ++i)
      graph.replace_all_uses({id, static_cast<int32_t>(i)}, {*twin, static_cast<int32_t>(i)});
    graph.erase(id);
    ++merged;
  }
  return merged;
}

}  // namespace

bool cse(Module& module, PassContext& context) {
  int merged = 0;
  for_each_graph(module, [&](Graph& graph) { merged += merge_equal_nodes(graph); });
  context.count("nodes merged", merged);
  return merged > 0;
}

}  // namespace nncc
