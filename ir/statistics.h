// Sums per channel of a convolution's result, gathered by the kernel that computes it.
#pragma once
#include <optional>

#include "ir/graph.h"

namespace nncc {

// A result [n, h, w, c] seen as `count` blocks of whole rows, each of `pixels` pixels: [count, pixels, c].
struct StatisticsBlocks {
  int64_t rows = 1, count = 1, pixels = 1;
};
// Into which blocks the result of a convolution with channels last is cut, so that each is computed by one
// thread, in one order, whatever the number of threads. Nothing where its kernel does not gather sums:
//   * the convolution is none of conv_packed, conv_winograd and conv_winograd_transformed;
//   * blocks have fewer than 16 pixels: what is kept of each is too much, next to what need not be read
//   again;
//   * there is but one block, and so no second stage;
//   * no row of Winograd's tiles (no image of them, where the rows of tiles do not come out even) is small
//     enough to be computed as one block of the kernel.
std::optional<StatisticsBlocks> statistics_blocks(const Graph& graph, NodeId convolution);

// Whether the node is the first pixel of each block: [count, pixels, c] -> [count, 1, c].
bool is_first_of_blocks(const Graph& graph, NodeId id, const StatisticsBlocks& blocks);

}  // namespace nncc
