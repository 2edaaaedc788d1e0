// The loop of a scan around its step. Internal to codegen/.
#pragma once
#include <string>

#include "ir/module.h"

namespace llvm {
class Function;
class Module;
}  // namespace llvm

namespace nncc {

// Adds a function (context, addresses of the scan's operands and results) to `into` that calls `body`, the
// native code of `step`, once a step. Sequences and stacked results are walked by their addresses. A carried
// value that is stacked, too, is read where the step before has stacked it; any other alternates between the
// result's place and the workspace, so that the last step writes the result. Nothing is copied but the last
// of what is stacked.
llvm::Function* emit_scan_loop(const std::string& name, const Node& scan, const Function& step,
                               llvm::Function* body, llvm::Module& into);

}  // namespace nncc
