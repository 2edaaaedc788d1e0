// Reverse accumulation: the derivatives of some values of a graph with respect to others.
#pragma once
#include <span>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/module.h"

namespace nncc {

// A value that is differentiated, and the derivative of the whole with respect to it: a value of the same
// type.
struct Seed {
  Value value;
  Value gradient;
};

// Adds to `graph` the nodes that compute, for each x, the gradient of the sum over all seeds of
// <value, gradient>, by the rules of gradient_rules.h; new nodes get `location` where they belong to no
// other. An empty value stands for a gradient of zero. Steps that the gradients of scans need are added to
// `module`. Nothing, after an error in `diags`, if a node between an x and a seed has no gradient.
std::optional<std::vector<Value>> accumulate_gradients(Graph& graph, Module& module,
                                                       std::span<const Seed> seeds, std::span<const Value> xs,
                                                       Location location, Diagnostics& diags);

}  // namespace nncc
