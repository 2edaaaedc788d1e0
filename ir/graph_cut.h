// Minimum cuts of directed graphs with capacities, by Boost.Graph.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace nncc {

// A network between a source and a sink. Nodes are numbered from 0 in the order they are added.
class FlowNetwork {
 public:
  // What no cut pays. Sums of all other capacities must stay below it.
  static constexpr int64_t kInfinite = int64_t{1} << 60;

  FlowNetwork();
  ~FlowNetwork();
  FlowNetwork(const FlowNetwork&) = delete;
  FlowNetwork& operator=(const FlowNetwork&) = delete;

  int add_node();
  // Paid if `from` lies on the source's side and `to` on the sink's.
  void add_edge(int from, int to, int64_t capacity);
  void tie_to_source(int node, int64_t capacity = kInfinite);
  void tie_to_sink(int node, int64_t capacity = kInfinite);

  struct Cut {
    int64_t capacity = 0;  // kInfinite or more: there is no cut
    // For each node: on that side in every minimum cut. Both sets alone are the source's (the sink's) side of
    // one; what is in neither may be put on either side, the other one's set growing by all of it.
    std::vector<bool> in_source, in_sink;
  };
  // Of the least capacity. Once.
  Cut minimum_cut();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nncc
