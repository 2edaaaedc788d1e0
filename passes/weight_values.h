// Which values of an inference entry change only when the weights do.
#pragma once
#include <set>

#include "ir/module.h"

namespace nncc {

// Nodes that depend on constants and on variables that inference does not change (not on memory, counters,
// the seed or arguments), and on at least one variable. Empty for entries that train: there weights change
// with every step.
std::set<NodeId> weight_nodes(const Module& module, const Entry& entry);

}  // namespace nncc
