// fold-constants: computes at compile time what depends on constants alone.
// Requires: nothing.
// Ensures: no node has constants alone for operands, but where its result would take more room than it is
// worth (over 4096 elements that are not all equal). Values are those of the reference evaluator, rounded to
// the element type after each node.
//   %a = constant {value = 2} : f32
//   %b = sqrt %a : f32
// becomes
//   %b = constant {value = 1.4142135381698608} : f32
#pragma once
#include "passes/pass.h"

namespace nncc {

bool fold_constants(Module&, PassContext&);

}  // namespace nncc
