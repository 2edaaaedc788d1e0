// Pooling that the kernel of a convolution does itself, while the elements it pools are in cache.
#pragma once
#include <optional>

#include "ir/graph.h"

namespace nncc {

// Windows of rows x columns elements side by side.
struct Pooling {
  int64_t rows = 1, columns = 1;
  friend bool operator==(const Pooling&, const Pooling&) = default;
};

// What `window` is to a convolution with channels last whose elements it reads, through whatever goes element
// by element. Nothing if the two are not for one kernel:
//   * the convolution is none of conv_packed, conv_winograd and conv_winograd_transformed;
//   * windows overlap, leave gaps or reach outside: elements would be computed twice, or for nothing. Rows
//     and columns left over behind the last window are just not computed;
//   * Winograd's tiles are not made of whole windows, or some tile has none.
std::optional<Pooling> pooling_after(const Graph& graph, NodeId convolution, NodeId window);

}  // namespace nncc
