// Kernels that add to rows of what lies in memory already.
#pragma once
#include <optional>

#include "ir/graph.h"

namespace nncc {

// The number of the argument that the one result of a kernel has to lie on whenever it is called: the kernel
// adds rows to that argument where it lies, and neither reads nor writes any other row. Nothing for every
// other kernel. Rows of 16-bit floats are summed elsewhere, in f32.
std::optional<int> accumulated_argument(const Graph& body);

}  // namespace nncc
