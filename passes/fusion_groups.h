// The units of kernel fusion over one graph: which nodes become one kernel.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "ir/module.h"
#include "passes/kernel_form.h"

namespace nncc {

// A partition of the computing nodes of a graph into groups. It starts with each node alone and is changed by
// merge(), which keeps it sound: every group has a kernel form and the groups have no cyclic dependence.
// Nodes that cost nothing belong to no group: data, reshapes, and what is made anew in every kernel that
// wants it (iotas, splats, broadcasts), except where such a value has to lie in memory.
class FusionGroups {
 public:
  explicit FusionGroups(const Graph& graph);

  struct Group {
    std::vector<NodeId> nodes;  // topologically ordered
    std::set<NodeId> copies;    // nodes of other groups that are computed again here
    std::set<int> before;       // groups whose results it reads
    std::set<int> barriers;     // those of them that it cannot join: what it reads has to lie in memory
    KernelForm form = KernelForm::Single;
  };
  // By index; merged ones are empty. `before` and `barriers` of the others may name merged ones until order()
  // is asked for.
  const std::vector<Group>& groups() const { return groups_; }
  // -1 for nodes without a group.
  int group_of(NodeId id) const;
  bool is_in(NodeId id, int group) const {
    return group_of(id) == group || groups_[group].copies.contains(id);
  }

  // Puts two groups together if that is possible, into the first.
  bool merge(int into, int from);
  // Computes `cone`, nodes of other groups, again in a group, if the group keeps its form. No merging
  // afterwards.
  bool add_copies(int group, const std::set<NodeId>& cone);
  // Drops nodes that, with all the copies, nothing needs.
  void prune();

  // What a node's operand is read from: computed nodes, data and movement in memory, behind reshapes and what
  // is made anew.
  std::vector<Value> sources(Value v) const;
  // Nodes of `group` that others need, or results, updates and movement in memory do.
  std::vector<NodeId> results(int group) const;
  // Nodes outside of `group` whose values it reads from memory.
  std::vector<NodeId> inputs(int group) const;
  // Groups that read the node's value from memory.
  std::set<int> readers(NodeId id) const;
  // Has to lie in memory whatever groups do: a result, an update, read by a product or moved as a whole.
  bool is_pinned(NodeId id) const { return pinned_.contains(id); }
  // Groups in an order in which they can run.
  std::vector<int> order();
  int64_t count(NodeId id) const { return graph_[id].types[0].num_elements(); }
  // The largest tensor that a group touches, in elements.
  int64_t extent(int group) const;

 private:
  // What a group became part of, or the group itself.
  int merged(int group) const;
  void settle();
  bool needs_memory(NodeId user) const;
  void pin(Value v);
  void find_dependences(int group);
  void raise_last(int group, int position);
  bool reaches_around(int from, int to) const;
  bool spoils_update(KernelForm form, const std::vector<NodeId>& nodes) const;
  bool reads_variable(Value v, const std::set<std::string>& names) const;
  void add_memory_sources(Value v, std::set<int>& groups) const;

  const Graph& graph_;
  std::vector<Group> groups_;
  std::map<NodeId, int> group_of_;
  std::map<NodeId, int> position_;  // in topological order
  std::map<NodeId, std::vector<NodeId>>
      readers_;  // computing nodes that read a computing node within a kernel
  std::set<NodeId> pinned_;
  std::map<NodeId, std::set<int>> copied_in_;     // groups that compute a node again
  std::vector<int> merged_into_;                  // itself, or the group that took it
  std::vector<int> first_;                        // position of a group's first node
  std::vector<int> last_;                         // of the last node that a group has or waits for
  std::vector<std::vector<int>> waiting_for_;     // groups that have this one before them; with repetitions
  std::map<std::pair<int, int>, size_t> failed_;  // merges that were refused, with the number of nodes then
  std::map<NodeId, std::set<std::string>> updated_;  // variables that the value replaces
};

}  // namespace nncc
