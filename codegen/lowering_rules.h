// The table of lowering rules, one for each op.
#pragma once
#include "codegen/lowering.h"

namespace nncc {

// Element `index` of `v` by the rule of its op. The index may be flat for leaves and for ops that keep the
// order of elements.
Halide::Expr lower(Lowering& lowering, Value v, const Index& index);

}  // namespace nncc
