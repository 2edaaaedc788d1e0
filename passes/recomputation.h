// What a graph of kernels keeps for the second half of a step, and what it computes again there.
#pragma once
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "ir/graph_cut.h"
#include "ir/module.h"

namespace nncc {

// What may run twice; each includes those before it.
enum class Effort : uint8_t {
  Nothing,
  Elementwise,   // arithmetic on elements, movement, random numbers
  Reductions,    // sums, extrema, windows
  Contractions,  // products and convolutions
};

struct RecomputationLimits {
  Effort effort = Effort::Elementwise;
  // So many of the first kernels of the step may; later ones only with the effort below.
  int first_kernels = std::numeric_limits<int>::max();
  // The first half is cut into so many segments where little goes from one to the next, and that is kept.
  // What is computed again then lives for one segment at a time (Chen et al. 2016, "Training Deep Nets with
  // Sublinear Memory Cost").
  int segments = 1;
};

// What a call takes: bytes read and written, and arithmetic in bytes' stead.
double kernel_cost(const Module& module, const Graph& graph, NodeId kernel);

// A step is divided where most is waiting, between the kernels, for later ones to read it: in training, where
// the backward part begins. What waits there can be kept, or be computed again, just before it is needed,
// from other things that are kept. A minimum cut decides: what is kept costs its bytes, what is computed
// again a little of what it takes, and all that the second half reads must be one or the other. A kernel is
// called again with the arguments it had, so that all results are the same to the bit. `module` and `graph`
// must outlive this.
class Recomputer {
 public:
  // `graph` as fuse-kernels leaves it; `order`: of all its kernels.
  Recomputer(const Module& module, const Graph& graph, std::vector<NodeId> order);

  // Kernels in the first half.
  int first_half() const { return half_; }
  int contractions_in_first_half() const;
  // The kernels, by their positions, that the cut has called again.
  std::set<int> choose(const RecomputationLimits& limits) const;
  // The graph with them called again. Its topological order is the one to run it in.
  Graph recompute(const std::set<int>& again) const;

 private:
  // A kernel's result.
  struct Stored {
    int made = 0;           // position of its kernel
    std::vector<int> read;  // positions of the kernels that read it, ascending
    int64_t bytes = 0;      // of the arena: 0 for what lies elsewhere
    bool is_kept = false;   // whatever is decided here
    int last_read() const { return read.empty() ? made : read.back(); }
  };
  // What a value that is read lies in: kernels' results behind views.
  void collect_sources(Value v, std::set<Value>& sources) const;
  std::set<Value> sources(Value v) const;
  void find_stored();
  void find_half();
  Effort effort_of(const Function& kernel) const;
  // Values that go from one segment of the first half to a later one.
  std::set<Value> between_segments(int segments) const;

  const Module& module_;
  const Graph& graph_;
  std::vector<NodeId> order_;
  std::map<NodeId, int> position_;
  std::vector<std::set<Value>> reads_;  // for each position
  std::map<Value, Stored> stored_;
  std::vector<Effort> efforts_;  // for each position
  std::vector<double> costs_;
  int half_ = 0;  // positions below it are the first half
};

}  // namespace nncc
