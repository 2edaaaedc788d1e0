// Small questions that several passes ask.
#pragma once
#include <optional>

#include "ir/module.h"

namespace nncc {

// Calls visit(Graph&) for each entry's graph and `prepare`, then for each composite's body, in the module's
// order. Bodies of kernels are left out: they belong to what made them.
template <typename Visit>
void for_each_graph(Module& module, Visit visit) {
  for (Entry& entry : module.entries) {
    visit(entry.graph);
    visit(entry.prepare);
  }
  for (Function& function : module.functions)
    if (function.kind == FunctionKind::Composite) visit(function.body);
}

// The literal of a constant node, or null.
const Literal* constant_of(const Graph&, Value);
// The one number that every element of v is, if v is a constant seen through movement that keeps elements.
std::optional<double> splat_value(const Graph&, Value);
// v is used once: one operand, or one result or update.
bool has_single_use(const Graph&, Value);
// True if two literals agree in type and bits: -0 is not 0, and a NaN is itself.
bool identical(const Literal&, const Literal&);

}  // namespace nncc
