#include "passes/fuse_kernels.h"

#include <algorithm>

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

bool fuse(Graph& graph, Module& module, KernelTable& kernels, PassContext& context) {
  if (graph.results.empty() && graph.updates.empty()) return false;
  graph.erase_dead();
  FusionGroups groups(graph);
  while (merge_along_edges(graph, groups)) {
  }
  for (int group : groups.order())
    context.count(std::string(kernel_form_name(groups.groups()[group].form)) + " kernels called");
  graph = KernelOutliner(graph, groups, module, kernels).run();
  graph.compact();
  return true;
}

// Calls and gradients would be opaque here.
bool is_ready(const Graph& graph, const std::string& entry, Diagnostics& diags) {
  for (NodeId id : graph.nodes()) {
    if (fusion_role(graph[id].op) != FusionRole::Unsupported) continue;
    diags.error("fuse-kernels: `" + std::string(op_info(graph[id].op).name) + "` is left in entry `" + entry +
                "`; run inline and autodiff before");
    return false;
  }
  return true;
}

}  // namespace

bool fuse_kernels(Module& module, PassContext& context) {
  for (const Entry& entry : module.entries)
    if (!is_ready(entry.graph, entry.name, context.diags) ||
        !is_ready(entry.prepare, entry.name, context.diags))
      return false;
  KernelTable kernels(module);
  bool changed = false;
  for (Entry& entry : module.entries) {
    changed |= fuse(entry.graph, module, kernels, context);
    changed |= fuse(entry.prepare, module, kernels, context);
  }
  context.count("kernels made", kernels.num_added());
  return changed;
}

}  // namespace nncc
