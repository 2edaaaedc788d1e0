// Small questions that several passes ask.
#pragma once
#include <optional>
#include <set>

#include "ir/module.h"

namespace nncc {

// Calls visit(Graph&) for each entry's graph and `prepare`, then for the body of each composite and step, in
// the module's order. Bodies of kernels are left out: they belong to what made them.
template <typename Visit>
void for_each_graph(Module& module, Visit visit) {
  for (Entry& entry : module.entries) {
    visit(entry.graph);
    visit(entry.prepare);
  }
  for (Function& function : module.functions)
    if (function.kind != FunctionKind::Kernel) visit(function.body);
}

// The literal of a constant node, or null.
const Literal* constant_of(const Graph&, Value);
// The one number that every element of v is, if v is a constant seen through movement that keeps elements.
std::optional<double> splat_value(const Graph&, Value);
// v is used once: one operand, or one result or update.
bool has_single_use(const Graph&, Value);
// A tensor of `type` whose every element is the first of `literal`, which has the same element type.
Literal splat_of(const Literal& literal, TensorType type);
// The nodes that a `gradient` node takes derivatives with respect to, but for leaves. A pass that runs before
// autodiff must neither merge nor replace them, nor look behind them: the loss would then no longer depend on
// them in the way the program says.
std::set<NodeId> differentiated(const Graph&);
// True if two literals agree in type and bits: -0 is not 0, and a NaN is itself.
bool identical(const Literal&, const Literal&);

}  // namespace nncc
