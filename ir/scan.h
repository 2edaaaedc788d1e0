// The parts of a scan node: see `scan` in ops.def.
#pragma once
#include <cstdint>
#include <vector>

#include "ir/module.h"

namespace nncc {

// Operands are carried, then sequences, then others; results are carried, then stacked, then, once
// plan-memory has run, the workspace. The step function takes as many arguments as there are operands and
// gives the results without the workspace.
struct ScanParts {
  int64_t steps = 0;
  int carries = 0;
  int sequences = 0;
  int others = 0;
  int stacked = 0;
  bool reversed = false;
  bool has_workspace = false;

  int first_other() const { return carries + sequences; }
  int num_results() const { return carries + stacked; }
  bool is_carry(int operand) const { return operand < carries; }
  bool is_sequence(int operand) const { return operand >= carries && operand < first_other(); }
};
// The node must be a well-typed scan.
ScanParts scan_parts(const Node& node);

// What a planned scan keeps in its workspace: the step's own, from the start, and for each carried value that
// is not also stacked room for one, so that it is read in one place and written in another.
struct ScanWorkspace {
  // For each carried value: the result that is the same value of the step, stacked; or -1.
  std::vector<int> stacked_as;
  std::vector<int64_t> offsets;  // for each carried value, where stacked_as is -1
  int64_t bytes = 0;
};
ScanWorkspace scan_workspace(const Node& scan, const Function& step);

// What one step has of a sequence, or gives of a stacked result: the type without its first extent.
TensorType step_type(const TensorType& stacked);
// `steps` of `step` along a new first axis.
TensorType stacked_type(const TensorType& step, int64_t steps);

// Makes `arguments` the arguments of a function's body: all its inputs that have uses, in a new order. Erases
// what nothing needs. Names that stand more than once get a number.
void set_arguments(Graph& body, std::vector<Graph::Argument> arguments);

// The nodes of a step's graph that depend on any of the given arguments.
std::vector<bool> depends_on_arguments(const Graph& step, const std::vector<bool>& arguments);

}  // namespace nncc
