// Places and order for one graph; the part of plan-memory that looks at a single graph at a time.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ir/module.h"
#include "passes/arena.h"
#include "passes/kernel_table.h"

namespace nncc {

// Read-only data of a module: equal literals share a place.
class ConstantPool {
 public:
  // Bytes from the start of the constants.
  int64_t offset(const Literal& literal);

 private:
  std::map<std::pair<DType, std::vector<std::byte>>, int64_t> offsets_;
  int64_t bytes_ = 0;
};

struct GraphPlan {
  Graph graph;  // in an order in which execution is right, with places
  int64_t arena_bytes = 0;
  int64_t lower_bound = 0;
  int copies = 0;                                // kernels that only copy
  int in_place = 0;                              // results that take the place of an operand
  int direct_updates = 0;                        // updates written where the variable lies
  int in_rows = 0;                               // concats whose pieces are written between each other
  std::map<std::string, int64_t> alive_at_peak;  // bytes; values of one name together
  std::vector<NodeId> order;                     // of the source's kernels
};

// Plans a graph of kernels, scans, views and data. The module's variables must have their offsets, its steps
// their workspace.
class GraphPlanner {
 public:
  GraphPlanner(const Module& module, KernelTable& kernels, ConstantPool& constants, const Graph& source)
      : module_(module), kernels_(kernels), constants_(constants), source_(source) {}
  // The first `carries` results are those of a step that carries them: one that is the same value as another
  // result lies where that one does.
  GraphPlan plan(int carries = 0);

 private:
  // Contiguous memory: a space that exists already, or a buffer yet to be placed, alone or within another.
  struct Storage {
    int64_t bytes = 0;
    bool fresh = false;    // made by kernels of this graph
    int parent = -1;       // for one that lies in a larger one
    int64_t offset = 0;    // there
    bool in_rows = false;  // others lie there between its own elements
    bool placed = false;
    Place place;  // of its first byte
  };
  // Part of a storage.
  struct Region {
    int storage = -1;
    int64_t offset = 0;
    int64_t bytes = 0;
    int64_t end() const { return offset + bytes; }
    bool overlaps(const Region& other) const {
      return storage == other.storage && offset < other.end() && other.offset < end();
    }
    friend bool operator==(const Region&, const Region&) = default;
  };
  // A kernel call or a scan to be ordered.
  struct Step {
    NodeId id;
    std::set<int> before;  // steps that must come first
  };

  // Working copy and what its values occupy.
  void copy_graph();
  void place_view(NodeId source, NodeId copy);
  void place_concat(NodeId source);
  const Node* row_concat(NodeId source) const;
  bool may_be_row_piece(Value piece, int64_t row) const;
  void place_row_concat(NodeId source, const Node& concat);
  NodeId add_to_copy(Node node);
  int add_fresh(int64_t bytes);
  int add_fixed(Place place, int64_t bytes);
  Region root_region(Value v) const;
  bool is_in_arena(int storage) const;
  bool is_whole_fresh(const Region& region) const;
  Value add_copy(Value v);
  bool is_last_use(Value source) const;
  bool is_idle_copy(NodeId id) const;
  void append_step(NodeId kernel);
  void collect_producers(Value v, std::set<int>& steps) const;
  Value mapped(Value v) const { return {node_map_.at(v.node), v.result}; }

  // Variables and results.
  void place_updates();
  bool try_update_in_place(int storage, int64_t variables_offset);
  bool add_order(int before, int after);
  bool is_before(int first, int second) const;
  void copy_before_updates(const Region& read);
  void copy_to_variable(const std::string& name, Value v);
  void place_results(int carries);
  void check_before_writing();

  // Order and arena.
  // All steps, each after those that must come first: `choose` says which of the ready ones is next.
  std::vector<int> order_by(const std::function<int(const std::set<int>& ready)>& choose) const;
  std::vector<int> stable_order() const;
  std::vector<int> frugal_order() const;
  struct Schedule {
    std::vector<int> order;     // steps
    std::vector<int> storages;  // in the arena
    std::vector<int> shares;    // for each, the index in `buffers` it lies in
    std::vector<ArenaBuffer> buffers;
    ArenaPlan arena;
    int in_place = 0;
  };
  Schedule schedule(std::vector<int> order) const;
  void list_peak(const Schedule& schedule);
  Graph emit(const std::vector<int>& order);
  Place place_of(Value v) const;

  const Module& module_;
  KernelTable& kernels_;
  ConstantPool& constants_;
  const Graph& source_;
  Graph graph_;
  std::map<NodeId, NodeId> node_map_;  // of the source's nodes
  std::map<Value, Region> regions_;
  std::vector<Storage> storages_;
  std::vector<Step> steps_;
  std::map<NodeId, int> step_of_;
  std::set<NodeId> copies_;                      // kernels that only copy
  std::map<NodeId, std::set<int>> row_concats_;  // of the source; the steps that write the pieces
  int variables_ = -1, constant_data_ = -1;
  GraphPlan result_;
};

}  // namespace nncc
