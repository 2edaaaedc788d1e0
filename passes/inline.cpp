#include "passes/inline.h"

#include <set>

#include "ir/builder.h"
#include "passes/graph_util.h"

namespace nncc {
namespace {

using Frame = std::shared_ptr<const CallFrame>;

// `inner` with `call` below its outermost frame. A body that was traced in place already names its call.
Frame with_caller(const Frame& inner, const Frame& call) {
  if (!inner) return call;
  const bool same = inner->call.file == call->call.file && inner->call.begin == call->call.begin &&
                    inner->call.end == call->call.end;
  if (same) return inner;
  return std::make_shared<CallFrame>(CallFrame{inner->call, inner->callee, with_caller(inner->caller, call)});
}

class Inliner {
 public:
  Inliner(Module& module, PassContext& context) : module_(module), context_(context) {}

  bool run() {
    // Callees first, so that what is copied holds no call.
    for (Function& function : module_.functions)
      if (function.kind != FunctionKind::Kernel) flatten(function);
    for (Entry& entry : module_.entries) {
      inline_into(entry.graph);
      inline_into(entry.prepare);
    }
    erase_composites();
    return changed_;
  }

 private:
  void flatten(Function& function) {
    if (done_.count(&function)) return;
    NNCC_CHECK(active_.insert(&function).second, "composite @" + function.name + " calls itself");
    inline_into(function.body);
    done_.insert(&function);
  }

  void inline_into(Graph& graph) {
    for (const NodeId id : graph.topological_order()) {
      if (graph[id].op != Op::Call) continue;
      const Node call = graph[id];
      Function* function = module_.find_function(call.attributes.string(Attr::Symbol));
      NNCC_CHECK(function, "call of an unknown function");
      flatten(*function);
      const Graph body = located_body(*function, call.location);
      const std::vector<Value> results = inline_body(body, call.operands, graph, call.location);
      for (size_t i = 0; i < results.size(); ++i)
        graph.replace_all_uses({id, static_cast<int32_t>(i)}, results[i]);
      keep_name(graph, call, results);
      graph.erase(id);
      context_.count("calls inlined");
      changed_ = true;
    }
  }

  // The user's name for the call goes to what the call returns.
  static void keep_name(Graph& graph, const Node& call, const std::vector<Value>& results) {
    if (call.name.empty() || results.size() != 1 || graph[results[0].node].op == Op::Input) return;
    for (const Value operand : call.operands)
      if (operand == results[0]) return;
    graph.set_name(results[0].node, call.name);
  }

  void erase_composites() {
    for (auto it = module_.functions.begin(); it != module_.functions.end();) {
      if (it->kind == FunctionKind::Composite) {
        it = module_.functions.erase(it);
        changed_ = true;
      } else {
        ++it;
      }
    }
  }

  Module& module_;
  PassContext& context_;
  std::set<const Function*> done_, active_;
  bool changed_ = false;
};

}  // namespace

Graph located_body(const Function& function, const Location& call) {
  Graph body = function.body;
  if (!call.range) return body;
  const std::string& callee = function.callee.empty() ? function.name : function.callee;
  const auto frame = std::make_shared<CallFrame>(CallFrame{call.range, callee, call.frame});
  for (const NodeId id : body.nodes()) {
    Location location = body[id].location;
    if (!location.range) continue;
    location.frame = with_caller(location.frame, frame);
    body.set_location(id, location);
  }
  return body;
}

bool inline_calls(Module& module, PassContext& context) { return Inliner(module, context).run(); }

}  // namespace nncc
