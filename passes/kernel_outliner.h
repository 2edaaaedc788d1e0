// From groups of nodes to kernel functions and their calls.
#pragma once
#include <map>

#include "passes/fusion_groups.h"
#include "passes/kernel_table.h"

namespace nncc {

// Writes a graph anew with one kernel call for each group.
class KernelOutliner {
 public:
  KernelOutliner(const Graph& graph, FusionGroups& groups, Module& module, KernelTable& kernels)
      : graph_(graph), groups_(groups), module_(module), kernels_(kernels) {}
  Graph run();

 private:
  // A body being written.
  struct Body {
    int group = -1;
    bool is_flat = false;  // all of rank 1 or scalar, see can_flatten
    int64_t count = 0;     // then, of what has rank 1
    Graph graph;
    std::map<Value, Value> values;  // of the source
    std::vector<Value> operands;    // of the call, in the new graph
    std::vector<Value> arguments;   // of the body, one for each operand
  };
  void outline(int group);
  void keep(NodeId id);
  bool can_flatten(int group, int64_t count) const;
  TensorType flat_type(const Body& body, const TensorType& type) const;
  Value in_body(Body& body, Value v);
  Value in_flat_body(Body& body, Value v);
  Value argument(Body& body, Value v);
  Value in_memory(Value v);
  Value view(Value memory, const Shape& shape);

  const Graph& graph_;
  FusionGroups& groups_;
  Module& module_;
  KernelTable& kernels_;
  Graph out_;
  std::map<Value, Value> memory_;                      // of the source's values in the new graph
  std::map<std::pair<Value, Shape>, Value> reshaped_;  // of the new graph's
};

}  // namespace nncc
