// What each op is to kernel fusion, and which movements need no copy.
#pragma once
#include <cstdint>
#include <optional>

#include "ir/graph.h"

namespace nncc {

enum class FusionRole : uint8_t {
  Data,         // lives in memory already; never in a kernel
  Generated,    // needs no operand from memory and is made anew wherever it is used: iota; constants if they
                // are a splat
  Repeat,       // broadcast: made anew wherever it is used
  View,         // reshape: free on both sides of a kernel's border
  Pointwise,    // element i from elements i
  Draw,         // random: pointwise over its own shape, and dear
  Rearrange,    // movement with arithmetic on indices
  Windowed,     // elements from windows of elements, or back: pointwise after it if windows are small
  Reduce,       // sums and extrema over axes: rows, columns or everything
  Contract,     // matrix products
  Alone,        // a kernel of its own
  Outside,      // no kernel, and on its own among groups: what the entry itself does
  Unsupported,  // must be gone before fuse-kernels
};
FusionRole fusion_role(Op op);

// A constant that is one number, so that a kernel can hold it as an immediate.
bool is_splat_constant(const Node& node);

// Where the result of a movement lies within its operand's memory (reshape, slice): bytes from the operand's
// start. Nothing if the elements are not contiguous in the same order.
std::optional<int64_t> view_offset(const Graph& graph, NodeId id);
// A concat whose operands lie one after the other in the result's memory.
bool is_contiguous_concat(const Graph& graph, NodeId id);
// Movement that plan-memory can realize without touching elements.
bool is_memory_view(const Graph& graph, NodeId id);

}  // namespace nncc
