// Walks over the scans of a module, and small parts of graphs around them.
#pragma once
#include <functional>

#include "ir/builder.h"
#include "ir/module.h"

namespace nncc {

// Visits every scan that may be rewritten, those inside of steps first: not a step that holds a gradient, nor
// a scan of whose results one is differentiated with respect to. What a visit adds is not visited. Erases
// what is dead then.
void for_each_scan(Module& module, const std::function<void(Graph&, NodeId)>& visit);

// What the last step has stacked; the first element if the loop ran backwards.
Value last_step(GraphBuilder& builder, Value stacked, bool reversed);

}  // namespace nncc
