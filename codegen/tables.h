// The constants of nn/abi.h that describe a model. Internal to codegen/.
#pragma once
#include <string>
#include <vector>

#include "codegen/codegen.h"
#include "codegen/entry.h"

namespace nncc {

// Adds the nn_model `symbol` and all that it points to. `functions`: one for each of the module's entries, in
// its order. The runtime's functions stay undefined.
void emit_tables(const Module&, const TargetInfo&, const std::vector<EntryFunctions>& functions,
                 const std::string& symbol, llvm::Module& into);

}  // namespace nncc
