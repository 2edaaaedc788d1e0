// cse: computes equal expressions once.
// Requires: nothing.
// Ensures: no graph holds two nodes with the same op, operands, attributes and result types. The operands of
// a commutative op may stand in either order. The older node stays, with its name and place in the source.
//   %a = add %x, %y : f32[4]
//   %b = add %y, %x : f32[4]
//   %c = mul %a, %b : f32[4]
// becomes
//   %a = add %x, %y : f32[4]
//   %c = mul %a, %a : f32[4]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool cse(Module&, PassContext&);

}  // namespace nncc
