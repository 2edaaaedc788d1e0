// LLVM modules to objects and text. Internal to codegen/.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "codegen/codegen.h"

namespace llvm {
class Module;
class TargetMachine;
}  // namespace llvm

namespace nncc {

std::unique_ptr<llvm::TargetMachine> make_target_machine(const TargetInfo&);
// The module must have the machine's triple and data layout.
std::vector<std::byte> emit_object(llvm::Module&, llvm::TargetMachine&);
std::string emit_assembly(llvm::Module&, llvm::TargetMachine&);

}  // namespace nncc
