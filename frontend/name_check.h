// Names in functions that no entry reaches: nothing traces them, but what they mention should exist.
#pragma once
#include "frontend/symbols.h"

namespace nncc {

// Reports every name of the function that is bound nowhere, with the nearest one that is.
void check_names(const Symbol& function, const SymbolTable&, Diagnostics&);

}  // namespace nncc
