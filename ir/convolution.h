// What the ops of convolution have in common: extents read off their types, and where an element lies in each
// operand, whatever its layout.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace nncc {

enum class ConvKind : uint8_t { Forward, InputGradient, WeightGradient };

enum class ConvLayout : uint8_t {
  ChannelsFirst,  // x [n, c, ..s], w [o, c / groups, ..k], y [n, o, ..t]
  Packed,         // x [n, h, w, c], w in panels (see panel_channels), y [n, h', w', o]
  Depthwise,      // x [n, h, w, c], w [kh, kw, c], y [n, h', w', c]
};

struct Convolution {
  ConvKind kind = ConvKind::Forward;
  ConvLayout layout = ConvLayout::ChannelsFirst;
  int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  int64_t lanes = 1;            // of a panel
  Shape input, output, window;  // spatial extents of x, y and w
  std::vector<int64_t> strides, low, dilation;

  int64_t in_per_group() const { return in_channels / groups; }
  int64_t out_per_group() const { return out_channels / groups; }
  // The channels that lie in the lanes of packed weights, for each group: output channels, but input channels
  // in the gradient by data.
  int64_t panel_channels() const {
    return kind == ConvKind::InputGradient ? in_per_group() : out_per_group();
  }
  int64_t panels_per_group() const { return (panel_channels() + lanes - 1) / lanes; }
  // Multiplications, those with zeros outside of x included.
  int64_t num_products() const;

  // The coordinates of x[n, c, s], y[n, o, t] and w[o, c, k], where c counts within o's group and channels of
  // x and y count from the first. T: int64_t, or an expression.
  template <typename T>
  std::vector<T> image_index(const T& n, const T& channel, const std::vector<T>& at) const {
    std::vector<T> index{n};
    if (layout == ConvLayout::ChannelsFirst) index.push_back(channel);
    index.insert(index.end(), at.begin(), at.end());
    if (layout != ConvLayout::ChannelsFirst) index.push_back(channel);
    return index;
  }
  template <typename T>
  std::vector<T> weight_index(const T& group, const T& o_in_group, const T& c,
                              const std::vector<T>& k) const {
    if (layout == ConvLayout::ChannelsFirst) {
      std::vector<T> index{group * T(static_cast<int>(out_per_group())) + o_in_group, c};
      index.insert(index.end(), k.begin(), k.end());
      return index;
    }
    if (layout == ConvLayout::Depthwise) return {k[0], k[1], group};
    const bool by_data = kind == ConvKind::InputGradient;
    const T &panel_channel = by_data ? c : o_in_group, &other = by_data ? o_in_group : c;
    const T width = T(static_cast<int>(lanes));
    return {group * T(static_cast<int>(panels_per_group())) + panel_channel / width, k[0], other, k[1],
            panel_channel % width};
  }
};

struct ConvForm {
  ConvKind kind;
  ConvLayout layout;
};
// Of the nine ops; nothing for any other.
std::optional<ConvForm> convolution_form(Op op);
bool is_convolution(Op op);

// The op must be one of the nine. Types that do not fit make extents that verify() rejects.
Convolution convolution(Op op, std::span<const TensorType> operands, const TensorType& result,
                        const Attributes& attributes);
Convolution convolution(const Graph& graph, const Node& node);

// The lanes of the panels that a kernel for `panel_channels` channels (see there) wants, computing rows of
// `columns` pixels each (of one residue modulo the stride, in a gradient by data) with vectors of
// `vector_bytes` bytes. A panel is as wide as the tile of sums that is kept in registers: one to four
// vectors.
int convolution_lanes(int64_t panel_channels, int64_t columns, int element_bytes, int vector_bytes);
int convolution_lanes(const Convolution& conv, int element_bytes, int vector_bytes);

}  // namespace nncc
