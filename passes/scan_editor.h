// A scan taken apart, to be put together anew.
#pragma once
#include <map>
#include <vector>

#include "ir/module.h"
#include "ir/scan.h"

namespace nncc {

// The lists below say what the scan takes and gives. A pass changes them and the step's body; commit() puts a
// scan in the old one's place. The function must be called by this scan alone, see make_steps_unique().
class ScanEditor {
 public:
  ScanEditor(Module& module, Graph& outer, NodeId scan);

  struct Carried {
    Value first;     // of the outer graph
    Value argument;  // of the body, as all below but what is called outer
    Value next;
    Value last;  // of the outer graph: the result
  };
  struct Passed {
    Value outer;
    Value argument;
  };
  struct Stacked {
    Value value;
    Value outer;  // the result; of one that was added, once commit() ran
  };

  Graph& outer() { return outer_; }
  Graph& body() { return function_.body; }
  NodeId node() const { return scan_; }
  int64_t steps() const { return parts_.steps; }
  bool reversed() const { return parts_.reversed; }
  std::vector<Carried> carries;
  std::vector<Passed> sequences;
  std::vector<Passed> others;
  std::vector<Stacked> stacked;

  bool is_used(Value outer) const;
  // The nodes of the body that depend on what is carried, or on that or a sequence.
  std::vector<bool> depends_on_carries() const;
  std::vector<bool> varies() const;
  // The body's argument for a value of the outer graph, the same for the same.
  Value other(Value outer);
  // Whatever of the body reads `from`, carries or stacks it has `to` instead.
  void replace(Value from, Value to);
  // Copies what the value is computed from to the outer graph. It may depend on no carried value and no
  // sequence.
  Value copy_out(Value of_body);

  void commit();

 private:
  Value add_argument(Value outer, TensorType type, const char* name);

  Module& module_;
  Graph& outer_;
  NodeId scan_;
  Function& function_;
  const ScanParts parts_;
  std::map<Value, Value> copied_;  // to the outer graph
};

// Gives each scan a step function of its own.
void make_steps_unique(Module&);

}  // namespace nncc
