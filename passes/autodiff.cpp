#include "passes/autodiff.h"

#include <set>

#include "ir/builder.h"
#include "passes/reverse_accumulation.h"

namespace nncc {
namespace {

class Autodiff {
 public:
  Autodiff(Module& module, PassContext& context) : module_(module), context_(context) {}

  bool run() {
    // Steps that gradients add hold none themselves, so what is there now is all there is to look at.
    std::vector<Function*> functions;
    for (Function& function : module_.functions)
      if (function.kind != FunctionKind::Kernel) functions.push_back(&function);
    for (Function* function : functions) differentiate(*function);
    for (Entry& entry : module_.entries) {
      differentiate(entry.graph);
      differentiate(entry.prepare);
    }
    return changed_;
  }

 private:
  // The steps of its scans first: who differentiates a scan differentiates its step.
  void differentiate(Function& function) {
    if (!done_.insert(&function).second) return;
    for (const NodeId id : function.body.nodes())
      if (function.body[id].op == Op::Scan)
        differentiate(*module_.find_function(function.body[id].attributes.string(Attr::Symbol)));
    differentiate(function.body);
  }

  void differentiate(Graph& graph) {
    while (ok_) {
      const NodeId id = first_gradient(graph);
      if (!id) return;
      const int before = graph.num_nodes();
      const Node node = graph[id];
      const Value loss = node.operands[0];
      const std::span<const Value> xs = std::span(node.operands).subspan(1);
      GraphBuilder builder(graph);
      builder.location = graph[loss.node].location;
      const Seed seed{loss, builder.splat_like(loss, 1)};
      const auto results =
          accumulate_gradients(graph, module_, {&seed, 1}, xs, node.location, context_.diags);
      if (!results) {
        ok_ = false;
        return;
      }
      builder.location = node.location;
      for (size_t i = 0; i < xs.size(); ++i) {
        const Value gradient = (*results)[i] ? (*results)[i] : builder.splat_like(xs[i], 0);
        graph.replace_all_uses({id, static_cast<int32_t>(i)}, gradient);
      }
      graph.erase(id);
      context_.count("gradients made");
      context_.count("nodes added", graph.num_nodes() - before + 1);
      changed_ = true;
    }
  }

  static NodeId first_gradient(const Graph& graph) {
    for (const NodeId id : graph.topological_order())
      if (graph[id].op == Op::Gradient) return id;
    return {};
  }

  Module& module_;
  PassContext& context_;
  std::set<const Function*> done_;
  bool changed_ = false, ok_ = true;
};

}  // namespace

bool autodiff(Module& module, PassContext& context) { return Autodiff(module, context).run(); }

}  // namespace nncc
