// What every well-formed module satisfies.
#pragma once
#include <string>
#include <vector>

#include "ir/module.h"

namespace nncc {

// Types agree with the shape rules, operands exist and come from the same graph, no cycle, names are unique, symbols resolve and agree
// in type, updates match their variables, model entries update Memory and Counter variables alone, bodies have no variable.
// Empty if all is well; else one line for each violation, naming entry or function and node.
std::vector<std::string> verify(const Module&);

}  // namespace nncc
