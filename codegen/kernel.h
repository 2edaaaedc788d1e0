// Kernel functions to machine code: each body becomes a Halide pipeline with a schedule for its form.
// Internal to codegen/.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codegen/codegen.h"
#include "ir/module.h"
#include "ir/row_layout.h"

namespace llvm {
class LLVMContext;
class Module;
}  // namespace llvm

namespace nncc {

// Part of every cache key: changes whenever equal bodies and options may give other code.
inline constexpr int kKernelVersion = 13;

// A function of FunctionKind::Kernel and the symbol it gets.
struct KernelSource {
  const Function* function = nullptr;
  std::string symbol;  // starts with "nn_": must not be a name of libc or libm
  // How each result lies in memory; empty if all are contiguous. A row must be one or more of the loops that
  // the schedule stores the result in.
  std::vector<std::optional<RowLayout>> layouts = {};
};

// Compiles kernels into one optimized LLVM module. Each becomes
//   int symbol(void* user_context, halide_buffer_t* argument0, …, halide_buffer_t* result0, …)
// which reads nothing of a halide_buffer_t but `host`, needs element alignment only, and is right when a
// result lies exactly on an argument that the body reads elementwise at the index it writes. Functions are
// weak and hidden. What they may call: halide_do_par_for with the user context (never if options.threads is
// 1), memset, memcpy and functions of libm; they use up to 512 KiB of the calling thread's stack. Kernels
// share a module to save its fixed cost (8 ms); the code of each does not depend on the others, and is the
// same every time. Thread-safe for different contexts. `options` needs target, threads and accurate alone.
std::unique_ptr<llvm::Module> compile_kernels(std::span<const KernelSource>, const CodegenOptions&,
                                              llvm::LLVMContext&);

// The same as a relocatable object.
std::vector<std::byte> compile_kernels_to_object(std::span<const KernelSource>, const CodegenOptions&);

}  // namespace nncc
