// Winograd's convolutions for 3 x 3 windows with stride 1: y = At [(G w Gt) . (Bt x B)] A for each tile of m
// x m outputs and (m + 2) x (m + 2) inputs, summed over the input channels between the brackets; m is 2 or 4.
// It takes 16 / 36 (m = 2) or 36 / 144 (m = 4) of the products of the definition, and costs digits
// (docs/numerics.md). A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
#pragma once
#include <array>
#include <span>
#include <vector>

#include "ir/convolution.h"
#include "ir/graph.h"

namespace nncc {

struct WinogradMatrices {
  using Matrix = std::vector<std::vector<double>>;
  Matrix bt;  // [m + 2, m + 2], of inputs
  Matrix g;   // [m + 2, 3], of weights
  Matrix at;  // [m, m + 2], of outputs
};
// tile: 2 or 4.
const WinogradMatrices& winograd_matrices(int64_t tile);
WinogradMatrices::Matrix transposed(const WinogradMatrices::Matrix&);

// Whether the op is one of the seven.
bool is_winograd(Op op);

// Extents of the convolution that an op is a part of. What the op's types do not tell is 0.
struct WinogradShape {
  int64_t tile = 0, points = 0;  // points: tile + 2, along an axis
  int64_t batch = 0, in_channels = 0, out_channels = 0;
  std::array<int64_t, 2> input{}, output{}, low{};  // spatial extents of x and y
  std::array<int64_t, 2> tiles{};                   // in an image, along the axes of y
  int64_t image_lanes = 1;                          // of transformed inputs
  int64_t lanes = 1;                                // of transformed weights and outputs

  int64_t num_tiles() const { return batch * tiles[0] * tiles[1]; }
  int64_t panels() const { return (out_channels + lanes - 1) / lanes; }
};
// The op must be one of the seven. For transformed weights that are turned, in and out are those of the
// gradient by data.
WinogradShape winograd_shape(Op op, std::span<const TensorType> operands, const TensorType& result,
                             const Attributes& attributes);
WinogradShape winograd_shape(const Graph& graph, const Node& node);

// 2 per product of the definition for the three ops that sum products, what the definition would take; for
// transforms the products of their two matrix multiplications.
double winograd_flops(Op op, const WinogradShape& shape);

}  // namespace nncc
