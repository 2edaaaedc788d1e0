// inline: replaces calls of composites by their bodies, until no call is left.
// Requires: nothing.
// Ensures: entries and composites hold no `call` node; composites that nothing calls any more are erased. A
// node that came out of a body keeps its place in the source and gains the call as its outermost frame.
//   %p = call %x {symbol = @square} : f32[4]      // composite @square(%a) { %0 = mul %a, %a; return %0 }
// becomes
//   %p = mul %x, %x : f32[4]
#pragma once
#include "ir/module.h"
#include "passes/pass.h"

namespace nncc {

bool inline_calls(Module&, PassContext&);
// A copy of the body of `function` whose nodes name a call of it, at `call`, as their outermost frame.
Graph located_body(const Function& function, const Location& call);

}  // namespace nncc
