#include "passes/reduce_strength.h"

#include <cmath>
#include <map>

#include "ir/builder.h"
#include "passes/fusion_rules.h"
#include "passes/graph_util.h"

namespace nncc {

namespace {

// One division for at least so many multiplications.
constexpr int64_t kFewest = 4;

class Divisions {
 public:
  Divisions(Graph& graph, bool accurate) : graph_(graph), builder_(graph), accurate_(accurate) {}

  int run() {
    int replaced = 0;
    for (NodeId id : graph_.topological_order()) {
      if (graph_[id].op != Op::Div || !is_float(graph_[id].types[0].dtype)) continue;
      const Node node = graph_[id];
      const Value factor = reciprocal(node.operands[1]);
      if (!factor) continue;
      builder_.location = node.location;
      const Value product = builder_.mul(node.operands[0], factor);
      graph_.set_name(product.node, node.name);
      graph_.replace_all_uses({id, 0}, product);
      graph_.erase(id);
      ++replaced;
    }
    return replaced;
  }

 private:
  // 1 / v in v's type, if it comes cheaper than v's elements; else nothing.
  Value reciprocal(Value v) {
    if (auto it = reciprocals_.find(v); it != reciprocals_.end()) return it->second;
    return reciprocals_[v] = make_reciprocal(v);
  }
  Value make_reciprocal(Value v) {
    const TensorType type = graph_.type(v);
    if (const auto divisor = splat_value(graph_, v)) {
      const double inverse = 1 / *divisor;
      int exponent = 0;
      const bool is_exact = std::abs(std::frexp(*divisor, &exponent)) == 0.5;
      const double largest = type.dtype == DType::F64 ? 1e300 : type.dtype == DType::F16 ? 1e4 : 1e37;
      const bool is_normal = std::abs(inverse) < largest && std::abs(inverse) > 1 / largest;
      return is_normal && (is_exact || !accurate_) ? builder_.splat(type, inverse) : Value{};
    }
    const Node node = graph_[v.node];
    if (accurate_ || node.op != Op::Broadcast) return {};
    const Value from = node.operands[0];
    if (graph_.type(from).num_elements() * kFewest > type.num_elements()) return {};
    builder_.location = node.location;
    const Value inverse = builder_.div(builder_.splat_like(from, 1), from);
    return builder_.broadcast(inverse, type.shape, node.attributes.integers(Attr::Dims));
  }

  Graph& graph_;
  GraphBuilder builder_;
  bool accurate_;
  std::map<Value, Value> reciprocals_;
};

}  // namespace

bool reduce_strength(Module& module, PassContext& context) {
  int replaced = 0;
  for_each_graph(module, [&](Graph& graph) {
    const int divisions = Divisions(graph, context.options.accurate).run();
    if (divisions > 0) graph.erase_dead();
    replaced += divisions;
  });
  context.count("divisions replaced", replaced);
  return replaced > 0;
}

}  // namespace nncc
