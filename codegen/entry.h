// Entry functions: the kernels of a planned graph, called in order. Internal to codegen/.
#pragma once
#include <map>
#include <string>

#include "ir/module.h"

namespace llvm {
class Function;
class Module;
}  // namespace llvm

namespace nncc {

// From what a kernel call needs (kernel_variant()) to the symbol of its native code.
using KernelSymbols = std::map<std::string, std::string>;

struct EntryFunctions {
  llvm::Function* run = nullptr;
  llvm::Function* run_profiled = nullptr;
  llvm::Function* prepare = nullptr;  // null: nothing is hoisted
};

// Adds the entry's functions (nn_entry_function of nn/abi.h) to `into`. They keep their halide_buffer_t's on
// the stack and store nothing but `host`: strides and extents are constants inside the kernels, which read no
// other field. A scan is a loop in a function of its own, around one for its step; the profiled entry has its
// own of both.
EntryFunctions emit_entry(const Module&, const Entry&, const KernelSymbols&, llvm::Module& into);

}  // namespace nncc
