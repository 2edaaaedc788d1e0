#include "passes/fuse_kernels.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "passes/fusion_groups.h"
#include "passes/fusion_rules.h"
#include "passes/kernel_outliner.h"
#include "passes/kernel_table.h"

namespace nncc {

namespace {

// Along the edges, consumers into producers, the nearest producer first: the epilogue of a product takes an
// activation before a reduction further down can.
bool merge_along_edges(const Graph& graph, FusionGroups& groups) {
  bool changed = false;
  for (NodeId id : graph.topological_order()) {
    if (groups.group_of(id) < 0) continue;
    std::vector<int> producers;
    for (Value operand : graph[id].operands)
      for (Value source : groups.sources(operand))
        if (const int group = groups.group_of(source.node); group >= 0) producers.push_back(group);
    std::sort(producers.begin(), producers.end(), [&](int a, int b) {
      return groups.groups()[a].nodes.back() > groups.groups()[b].nodes.back();
    });
    for (int producer : producers)
      if (!groups.groups()[producer].nodes.empty()) changed |= groups.merge(producer, groups.group_of(id));
  }
  return changed;
}

// Calls cost more than what small kernels do: up to this many elements, kernels are joined for that alone.
constexpr int64_t kSmall = 4096;
// Not so many that they do not fit into registers.
constexpr size_t kMostOperands = 24;
constexpr size_t kMostResults = 12;
// A group is compared with so many after it.
constexpr size_t kWindow = 32;

// Groups of one form over equal counts that read the same, or are small.
void merge_across(const Graph& graph, FusionGroups& groups) {
  using Key = std::tuple<KernelForm, int64_t, Shape>;
  std::map<Key, std::vector<int>> alike;
  for (int group : groups.order()) {
    const KernelForm form = groups.groups()[group].form;
    if (form == KernelForm::MatMul || form == KernelForm::Pooled || form == KernelForm::Statistics ||
        form == KernelForm::Single)
      continue;
    int64_t widest = 0;
    bool rearranges = false;  // loops over other axes would not go together
    Shape windows;            // nor would those over windows and over anything else
    for (NodeId id : groups.groups()[group].nodes) {
      rearranges = rearranges || fusion_role(graph[id].op) == FusionRole::Rearrange;
      if (fusion_role(graph[id].op) == FusionRole::Windowed) windows = graph[id].types[0].shape;
      widest = std::max(widest, groups.count(id));
      for (Value operand : graph[id].operands) widest = std::max(widest, graph.type(operand).num_elements());
    }
    if (!rearranges) alike[{form, widest, windows}].push_back(group);
  }
  for (auto& [key, members] : alike) {
    std::vector<std::vector<NodeId>> inputs;
    for (int group : members) inputs.push_back(groups.inputs(group));
    const auto is_gone = [&](int group) { return groups.groups()[group].nodes.empty(); };
    for (size_t a = 0; a < members.size(); ++a) {
      for (size_t b = a + 1; b < members.size() && b < a + kWindow && !is_gone(members[a]); ++b) {
        if (is_gone(members[b])) continue;
        std::vector<NodeId> shared;
        std::set_intersection(inputs[a].begin(), inputs[a].end(), inputs[b].begin(), inputs[b].end(),
                              std::back_inserter(shared));
        const bool reads_the_same =
            std::any_of(shared.begin(), shared.end(), [&](NodeId id) { return groups.count(id) > 1; });
        const bool is_small = inputs[a].size() + inputs[b].size() <= kMostOperands &&
                              groups.extent(members[a]) <= kSmall && groups.extent(members[b]) <= kSmall;
        if (!reads_the_same && !is_small) continue;
        if (groups.results(members[a]).size() + groups.results(members[b]).size() > kMostResults) continue;
        if (groups.merge(members[a], members[b])) inputs[a] = groups.inputs(members[a]);
      }
    }
  }
}

// What a group reads from another may be cheaper to compute again from what lies in memory anyway.
class Recomputation {
 public:
  Recomputation(const Graph& graph, FusionGroups& groups) : graph_(graph), groups_(groups) {
    for (NodeId id : graph_.nodes()) {
      if (graph_[id].op != Op::Eq && graph_[id].op != Op::Ne) continue;
      for (Value operand : graph_[id].operands)
        if (is_float(graph_.type(operand).dtype))
          for (Value source : groups_.sources(operand)) compared_.insert(source.node);
    }
  }

  // How many values need not be stored any more.
  int run() {
    int dropped = 0;
    std::vector<NodeId> order = graph_.topological_order();
    std::reverse(order.begin(), order.end());
    for (NodeId id : order) {
      if (groups_.group_of(id) < 0 || groups_.is_pinned(id) || !is_cheap(id)) continue;
      if (groups_.count(id) == 1) continue;  // once is enough
      const std::set<int> readers = groups_.readers(id);
      if (readers.empty()) continue;
      double cost = 0;
      std::vector<std::pair<int, std::set<NodeId>>> cones;
      for (int reader : readers) {
        Cone cone = cone_of(id, reader, 0);
        cost += cone.cost;
        cones.emplace_back(reader, std::move(cone.nodes));
      }
      if (cost > bytes(id) * (1.0 + static_cast<double>(readers.size()))) continue;
      bool all = true;
      for (const auto& [reader, cone] : cones) all = groups_.add_copies(reader, cone) && all;
      if (all) ++dropped;
    }
    groups_.prune();
    return dropped;
  }

 private:
  static constexpr size_t kMostCopies = 12;
  struct Cone {
    double cost = 0;  // bytes read and written for it
    std::set<NodeId> nodes;
  };
  static constexpr double kImpossible = 1e30;

  double bytes(NodeId id) const { return static_cast<double>(graph_[id].types[0].byte_size()); }
  bool is_cheap(NodeId id) const {
    return fusion_role(graph_[id].op) == FusionRole::Pointwise && op_info(graph_[id].op).has(Cheap) &&
           !compared_.contains(id);
  }

  // What it takes to compute a node in `group`, the node itself not being read.
  Cone cone_of(NodeId id, int group, int depth) const {
    Cone cone;
    cone.nodes = {id};
    for (Value operand : graph_[id].operands) {
      for (Value source : groups_.sources(operand)) {
        const NodeId from = source.node;
        if (cone.nodes.contains(from)) continue;
        const Cone best = cheapest(from, group, depth + 1);
        cone.cost += best.cost;
        cone.nodes.insert(best.nodes.begin(), best.nodes.end());
      }
    }
    if (cone.nodes.size() > kMostCopies) cone.cost = kImpossible;
    return cone;
  }

  // A node's value in `group`: there already, read, or computed.
  Cone cheapest(NodeId id, int group, int depth) const {
    if (groups_.is_in(id, group)) return {};
    const std::vector<NodeId> inputs = groups_.inputs(group);
    if (std::binary_search(inputs.begin(), inputs.end(), id)) return {};
    const bool is_stored = groups_.group_of(id) < 0 || groups_.is_pinned(id) || !groups_.readers(id).empty();
    Cone read{bytes(id) * (is_stored ? 1 : 2), {}};
    if (!is_cheap(id) || groups_.group_of(id) < 0 || depth > 8) return read;
    Cone computed = cone_of(id, group, depth);
    return computed.cost < read.cost || (computed.cost == read.cost && !is_stored) ? computed : read;
  }

  const Graph& graph_;
  FusionGroups& groups_;
  // Numbers that are asked whether they are the same, such as the elements of which one is the largest: two
  // kernels may round them differently.
  std::set<NodeId> compared_;
};

// A value that is made from nothing and has to lie in several places is made in each: no place is a copy of
// another.
void split_fills(Graph& graph) {
  std::set<Value> seen;
  const auto split = [&](Value& v) {
    const FusionRole role = fusion_role(graph[v.node].op);
    const bool is_fill =
        role == FusionRole::Generated || role == FusionRole::Repeat || is_splat_constant(graph[v.node]);
    if (!is_fill || seen.insert(v).second) return;
    v = {graph.add(Node(graph[v.node])), v.result};
  };
  for (Graph::Result& result : graph.results) split(result.value);
  for (Graph::Update& update : graph.updates) split(update.value);
}

bool fuse(Graph& graph, Module& module, KernelTable& kernels, PassContext& context) {
  if (graph.results.empty() && graph.updates.empty()) return false;
  graph.erase_dead();
  split_fills(graph);
  FusionGroups groups(graph);
  while (merge_along_edges(graph, groups)) {
  }
  merge_across(graph, groups);
  while (merge_along_edges(graph, groups)) {
  }
  context.count("values computed again instead of stored", Recomputation(graph, groups).run());
  for (int group : groups.order())
    context.count(std::string(kernel_form_name(groups.groups()[group].form)) + " kernels called");
  graph = KernelOutliner(graph, groups, module, kernels).run();
  graph.compact();
  return true;
}

// Calls and gradients would be opaque here.
bool is_ready(const Graph& graph, const std::string& where, Diagnostics& diags) {
  for (NodeId id : graph.nodes()) {
    if (fusion_role(graph[id].op) != FusionRole::Unsupported) continue;
    diags.error("fuse-kernels: `" + std::string(op_info(graph[id].op).name) + "` is left in " + where +
                "; run inline and autodiff before");
    return false;
  }
  return true;
}

}  // namespace

bool fuse_kernels(Module& module, PassContext& context) {
  for (const Entry& entry : module.entries)
    for (const Graph* graph : {&entry.graph, &entry.prepare})
      if (!is_ready(*graph, "entry `" + entry.name + "`", context.diags)) return false;
  std::vector<Function*> steps;
  for (Function& function : module.functions)
    if (function.kind == FunctionKind::Step) steps.push_back(&function);
  for (const Function* step : steps)
    if (!is_ready(step->body, "step `" + step->name + "`", context.diags)) return false;
  KernelTable kernels(module);
  bool changed = false;
  for (Function* step : steps) changed |= fuse(step->body, module, kernels, context);
  for (Entry& entry : module.entries) {
    changed |= fuse(entry.graph, module, kernels, context);
    changed |= fuse(entry.prepare, module, kernels, context);
  }
  context.count("kernels made", kernels.num_added());
  return changed;
}

}  // namespace nncc
