// What a kernel does, from its body alone: nothing is compiled.
#pragma once
#include <cstdint>
#include <string>

#include "ir/module.h"

namespace nncc {

struct KernelInfo {
  std::string description;  // "matmul 64x256x784 + add + max"
  uint64_t flops = 0;       // of one call; a multiply-add is 2, any other operation on floats 1
  uint64_t bytes = 0;       // of what it reads of its arguments, and of its results, each once
};
KernelInfo describe_kernel(const Function&);

// Bytes of an argument that the body uses: all of it, or where it only takes slices and looked-up rows, or
// adds to rows where they lie, no more than those.
int64_t bytes_read(const Graph& body, size_t argument);
// Bytes of a result that a call writes: all of it but where it only adds to rows.
int64_t bytes_written(const Graph& body, size_t result);

}  // namespace nncc
