// The forms a kernel may have, so that codegen/ has a schedule for it.
#pragma once
#include <functional>
#include <optional>
#include <span>

#include "ir/graph.h"

namespace nncc {

// "Counts" below are numbers of elements; reshapes change nothing.
enum class KernelForm : uint8_t {
  Elementwise,  // all results have one count; pointwise ops, draws, rearrangements and small windows lead to
                // them; what a window reads is cheap, and made again for no second window
  MatMul,  // one product; its operands come from memory; all else is pointwise over its elements; results
           // have its count
  Pooled,  // a convolution, what is pointwise over its elements, windows of these (ir/pooling.h), and what
           // is pointwise over the windows; results have the count of windows
  Statistics,    // a convolution, what is pointwise over its elements, their blocks' first pixels, and sums
                 // over each block (ir/statistics.h); results have the count of elements or are of blocks
  RowReduce,     // reductions over the inner axes of [rows, cols]; pointwise ops over [rows, cols] and [rows]
                 // before, between and after; results are [rows, cols] or [rows]
  ColumnReduce,  // reductions over the rows of [batch, rows, cols]; pointwise ops on that before, on
                 // [batch, cols] after; results are [batch, cols]
  PlaneReduce,   // reductions over batch and cols of [batch, rows, cols]; pointwise ops on that before, on
                 // [rows] after; results are [rows]
  FullReduce,    // reductions of one count to scalars; pointwise ops on that count before, on scalars after;
                 // scalar results
  Single,        // one node of any other kind
};
std::string_view kernel_form_name(KernelForm form);

// What a kernel would be if it held `nodes` (topologically ordered; computing nodes only: iotas, splats,
// broadcasts and reshapes between them belong to it too) and had the marked nodes' values as results. Nothing
// if it has none of the forms.
std::optional<KernelForm> kernel_form(const Graph& graph, std::span<const NodeId> nodes,
                                      const std::function<bool(NodeId)>& is_result);

}  // namespace nncc
