// dce: erases what nothing needs.
// Requires: nothing.
// Ensures: every node leads to a result or an update, or is an argument; every function is called. Variables
// stay: a host may read them, and they are part of the checkpoint.
//   %a = exp %x : f32[4]
//   %b = neg %x : f32[4]
//   return %b
// becomes
//   %b = neg %x : f32[4]
//   return %b
#pragma once
#include "passes/pass.h"

namespace nncc {

bool dce(Module&, PassContext&);

}  // namespace nncc
