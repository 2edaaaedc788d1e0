// May a kernel's result lie on one of its arguments, or with gaps?
#pragma once
#include "ir/module.h"

namespace nncc {

// True if the kernel may be called with result number `result` in exactly the memory of argument number
// `argument`: the kernel is one loop over elements (no reduction, no contraction), and every use it makes of
// the argument, for whichever result, is at the index that is written. The result itself depends on it.
bool may_overwrite(const Function& kernel, int argument, int result);

// True if result number `result` may lie in rows of `row` elements that do not follow each other in memory:
// the kernel is one product or convolution (not a gradient by weights) whose innermost axis is the row, so
// that no loop of its schedule goes on from one row to the next. Loops over elements do, and whatever is
// computed one after the other is refused as well: 16-bit floats, convolutions over weights that are not
// packed, sums by rows, windows. So are rows of one element.
bool may_lie_in_rows(const Function& kernel, int result, int64_t row);

}  // namespace nncc
