// The kernel functions of a module, each body once.
#pragma once
#include <map>
#include <string>

#include "ir/module.h"

namespace nncc {

// Adds kernel functions k0, k1, … to a module. Bodies that read the same (canonical_text) share one function.
class KernelTable {
 public:
  explicit KernelTable(Module& module);
  // The name of the kernel with this body.
  std::string intern(Graph body);
  // The kernel that copies a tensor of this type.
  std::string intern_copy(const TensorType& type);
  // Kernels that were added, not found.
  int num_added() const { return num_added_; }

 private:
  Module& module_;
  std::map<std::string, std::string> names_;  // by canonical text
  int num_added_ = 0;
};

// Adds a call of a kernel; as many results as the kernel has.
NodeId add_kernel(Graph& graph, const Function& kernel, std::span<const Value> operands);

}  // namespace nncc
