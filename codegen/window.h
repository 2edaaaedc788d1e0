// Small windows as expressions.
#pragma once
#include "codegen/lowering.h"

namespace nncc {

// Element `index` (one coordinate for each axis) of a node for which is_small_window() holds: its taps
// written out. Of what an axis does only the last one's coordinate should be a vector's: tests and bounds on
// the others are then the same in all lanes.
Halide::Expr window_element(Lowering& lowering, Value v, const Index& index);

}  // namespace nncc
