// May a kernel's result lie on one of its arguments?
#pragma once
#include "ir/module.h"

namespace nncc {

// True if the kernel may be called with result number `result` in exactly the memory of argument number
// `argument`: the kernel is one loop over elements (no reduction, no contraction), and every use it makes of
// the argument, for whichever result, is at the index that is written. The result itself depends on it.
bool may_overwrite(const Function& kernel, int argument, int result);

}  // namespace nncc
