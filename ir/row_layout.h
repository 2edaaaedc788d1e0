// How pieces of a concat lie in memory that is planned.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace nncc {

// Rows of `row` elements, the first of each `pitch` elements after the one before, and not `row`.
struct RowLayout {
  int64_t row = 0;
  int64_t pitch = 0;
  // Elements from the first one of `count` to the last, both included.
  int64_t span(int64_t count) const { return (count / row - 1) * pitch + row; }
  friend bool operator==(const RowLayout&, const RowLayout&) = default;
};

// Of an operand within the concat.
RowLayout layout_in_concat(const Graph& graph, NodeId concat, size_t operand);

// How a value of a planned graph lies: in rows if it is, behind reshapes, a piece of a concat along another
// axis than the outermost. Outside of kernels a concat computes nothing: its operands are written where they
// belong.
std::optional<RowLayout> row_layout(const Graph& graph, Value v);

// Of each result of a kernel call; empty if all are contiguous.
std::vector<std::optional<RowLayout>> result_layouts(const Graph& graph, NodeId kernel);

// What native function a kernel call needs: its kernel's name, and how results lie if not contiguously.
std::string kernel_variant(const Graph& graph, NodeId kernel);

}  // namespace nncc
