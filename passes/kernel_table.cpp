#include "passes/kernel_table.h"

#include "ir/builder.h"
#include "ir/diagnostic.h"
#include "ir/print.h"

namespace nncc {

KernelTable::KernelTable(Module& module) : module_(module) {
  for (const Function& function : module.functions)
    if (function.kind == FunctionKind::Kernel) names_.emplace(canonical_text(function.body), function.name);
}

std::string KernelTable::intern(Graph body) {
  body.compact();
  const auto [it, added] = names_.try_emplace(canonical_text(body));
  if (!added) return it->second;
  int number = static_cast<int>(names_.size()) - 1;
  while (module_.find_function("k" + std::to_string(number))) ++number;
  it->second = "k" + std::to_string(number);
  Function function;
  function.name = it->second;
  function.kind = FunctionKind::Kernel;
  function.body = std::move(body);
  module_.functions.push_back(std::move(function));
  ++num_added_;
  return it->second;
}

std::string KernelTable::intern_copy(const TensorType& type) {
  Graph body;
  const Value argument = body.add_argument("x", type);
  body.results.push_back({"result", GraphBuilder(body).add(Op::StopGradient, {argument})});
  return intern(std::move(body));
}

NodeId add_kernel(Graph& graph, const Function& kernel, std::span<const Value> operands) {
  NNCC_CHECK(kernel.kind == FunctionKind::Kernel, "`" + kernel.name + "` is not a kernel");
  Node node;
  node.op = Op::Kernel;
  node.operands.assign(operands.begin(), operands.end());
  for (const Graph::Result& result : kernel.body.results)
    node.types.push_back(kernel.body.type(result.value));
  node.attributes.set(Attr::Symbol, kernel.name);
  return graph.add(std::move(node));
}

}  // namespace nncc
