// Kernels compiled and loaded into the process, called with literals: for tests and benchmarks of code
// generation.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codegen/codegen.h"
#include "ir/module.h"
#include "ir/row_layout.h"

namespace nncc::testing {

class KernelLibrary {
 public:
  // How each of a kernel's results lies in memory; empty if all are contiguous.
  using Layouts = std::vector<std::optional<RowLayout>>;
  // Compiles every function, which must stay; throws InternalError. `layouts`: of each, or empty.
  KernelLibrary(std::span<const Function> kernels, const CodegenOptions& options,
                std::vector<Layouts> layouts = {});
  ~KernelLibrary();
  KernelLibrary(const KernelLibrary&) = delete;
  KernelLibrary& operator=(const KernelLibrary&) = delete;

  // Calls kernel i. Every buffer lies between guard bytes, at an address that is aligned for its elements
  // only; a write outside of a result, or between its rows, throws. in_place[r] >= 0: result r lies on that
  // argument.
  std::vector<Literal> call(size_t i, std::span<const Literal> arguments,
                            std::span<const int> in_place = {}) const;
  // Calls kernel i on raw memory: arguments, then results.
  void call_raw(size_t i, std::span<void* const> hosts) const;

  // The pieces into which the kernels called so far in this process cut their parallel loops.
  static std::vector<int>& pieces();

  // The names of functions the kernels need from outside.
  const std::vector<std::string>& undefined_symbols() const { return undefined_; }

 private:
  std::span<const Function> kernels_;
  std::vector<Layouts> layouts_;
  std::vector<void*> functions_;
  std::vector<std::string> undefined_;
  void* handle_ = nullptr;
};

// For the processor this runs on.
const TargetInfo& host_target();

}  // namespace nncc::testing
