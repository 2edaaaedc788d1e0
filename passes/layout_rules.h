// What each op asks of the layout of images: channels where the program has them (axis 1), or last.
#pragma once
#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace nncc {

// A value of rank 3 or more, [n, c, ..s], may be kept as [n, ..s, c]. Below rank 3 the two are one.
enum class ImageLayout : uint8_t { ChannelsFirst, ChannelsLast };

// Where axis `axis` of `rank` goes, and a list with one element for each axis in the new order.
int64_t axis_with_channels_last(int64_t axis, int rank);
std::vector<int64_t> with_channels_last(const std::vector<int64_t>& list);
// Transpositions from one layout to the other.
std::vector<int64_t> perm_to_channels_last(int rank);
std::vector<int64_t> perm_to_channels_first(int rank);
// Both layouts have their elements in one order: changing between them moves nothing.
bool layouts_agree(const Shape& shape);

// In which layouts a node can be computed.
struct LayoutDemand {
  enum Operand : uint8_t {
    Same,    // in the node's layout
    First,   // channels first
    Last,    // channels last
    Either,  // the node reads both
  };
  bool can_be_first = true, can_be_last = false;
  std::vector<Operand> operands;
};
LayoutDemand layout_demand(const Graph& graph, NodeId id);

// The attributes of the node where its images have channels last, and its result's shape.
Attributes attributes_with_channels_last(const Graph& graph, NodeId id);

}  // namespace nncc
