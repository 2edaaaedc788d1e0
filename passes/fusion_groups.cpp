#include "passes/fusion_groups.h"

#include <algorithm>
#include <unordered_set>

#include "ir/diagnostic.h"
#include "passes/fusion_rules.h"

namespace nncc {

namespace {

// Larger kernels compile slowly and run out of registers.
constexpr size_t kMostNodes = 96;
// In group_of_: was in a group, is only computed as a copy now.
constexpr int kUnused = -1;

bool is_made_anew(const Graph& graph, NodeId id) {
  const FusionRole role = fusion_role(graph[id].op);
  return role == FusionRole::Generated || role == FusionRole::Repeat || is_splat_constant(graph[id]);
}

bool computes(const Graph& graph, NodeId id) {
  switch (fusion_role(graph[id].op)) {
    case FusionRole::Pointwise:
    case FusionRole::Draw:
    case FusionRole::Reduce:
    case FusionRole::Contract:
    case FusionRole::Windowed:
    case FusionRole::Alone:
    case FusionRole::Outside:
      return true;
    case FusionRole::Rearrange:
      return !is_memory_view(graph, id);
    default:
      return false;
  }
}

}  // namespace

FusionGroups::FusionGroups(const Graph& graph) : graph_(graph) {
  const std::vector<NodeId> order = graph.topological_order();
  for (NodeId id : order) {
    position_[id] = static_cast<int>(position_.size());
    NNCC_CHECK(fusion_role(graph[id].op) != FusionRole::Unsupported,
               "`" + std::string(op_info(graph[id].op).name) + "` is left before fuse-kernels");
  }
  // What has to lie in memory: what leaves the graph, what moves as a whole, and operands of products and the
  // like.
  for (const Graph::Result& result : graph.results) pin(result.value);
  for (const Graph::Update& update : graph.updates) {
    pin(update.value);
    Value v = update.value;
    while (view_offset(graph, v.node)) v = graph[v.node].operands[0];
    updated_[v.node].insert(update.variable);
  }
  for (NodeId id : order)
    if (needs_memory(id))
      for (Value operand : graph[id].operands) pin(operand);
  for (NodeId id : order) {
    if (!computes(graph, id) && !(pinned_.contains(id) && is_made_anew(graph, id))) continue;
    group_of_[id] = static_cast<int>(groups_.size());
    merged_into_.push_back(group_of_[id]);
    first_.push_back(position_.at(id));
    last_.push_back(position_.at(id));
    groups_.emplace_back().nodes = {id};
    if (needs_memory(id)) continue;
    for (Value operand : graph[id].operands)
      for (Value source : sources(operand))
        if (readers_[source.node].empty() || readers_[source.node].back() != id)
          readers_[source.node].push_back(id);
  }
  waiting_for_.resize(groups_.size());
  for (int group = 0; group < static_cast<int>(groups_.size()); ++group) {
    find_dependences(group);
    const auto form = kernel_form(graph_, groups_[group].nodes, [](NodeId) { return true; });
    NNCC_CHECK(form,
               "no kernel form for `" + std::string(op_info(graph[groups_[group].nodes[0]].op).name) + "`");
    groups_[group].form = *form;
  }
}

// Reads its operands from memory, as they are.
bool FusionGroups::needs_memory(NodeId user) const {
  const FusionRole role = fusion_role(graph_[user].op);
  return role == FusionRole::Contract || role == FusionRole::Alone || role == FusionRole::Outside ||
         (role == FusionRole::Rearrange && is_memory_view(graph_, user));
}

void FusionGroups::pin(Value v) {
  while (fusion_role(graph_[v.node].op) == FusionRole::View) v = graph_[v.node].operands[0];
  pinned_.insert(v.node);
}

int FusionGroups::group_of(NodeId id) const {
  const auto it = group_of_.find(id);
  return it == group_of_.end() ? -1 : it->second;
}

std::vector<Value> FusionGroups::sources(Value v) const {
  const FusionRole role = fusion_role(graph_[v.node].op);
  if (role == FusionRole::View || role == FusionRole::Repeat) return sources(graph_[v.node].operands[0]);
  if (is_made_anew(graph_, v.node)) return {};
  return {v};
}

// Groups behind a value in memory.
void FusionGroups::add_memory_sources(Value v, std::set<int>& groups) const {
  if (const int group = group_of(v.node); group >= 0) {
    groups.insert(group);
    return;
  }
  for (Value operand : graph_[v.node].operands) add_memory_sources(operand, groups);
}

void FusionGroups::find_dependences(int index) {
  Group& group = groups_[index];
  group.before.clear();
  group.barriers.clear();
  const auto visit = [&](NodeId id) {
    for (Value operand : graph_[id].operands) {
      if (needs_memory(id)) {
        add_memory_sources(operand, group.barriers);
        continue;
      }
      for (Value source : sources(operand)) {
        if (is_in(source.node, index)) continue;
        if (group_of(source.node) >= 0)
          group.before.insert(group_of(source.node));
        else
          add_memory_sources(source, group.barriers);
      }
    }
  };
  for (NodeId id : group.nodes) visit(id);
  for (NodeId id : group.copies) visit(id);
  group.before.insert(group.barriers.begin(), group.barriers.end());
  for (int before : group.before) waiting_for_[merged(before)].push_back(index);
}

// A group, and what waits for it, now waits for something at `position`.
void FusionGroups::raise_last(int group, int position) {
  std::vector<int> stack = {group};
  while (!stack.empty()) {
    const int raised = merged(stack.back());
    stack.pop_back();
    if (last_[raised] >= position) continue;
    last_[raised] = position;
    stack.insert(stack.end(), waiting_for_[raised].begin(), waiting_for_[raised].end());
  }
}

int FusionGroups::merged(int group) const {
  while (merged_into_[group] != group) group = merged_into_[group];
  return group;
}

// Names groups by what they became part of.
void FusionGroups::settle() {
  for (int index = 0; index < static_cast<int>(groups_.size()); ++index) {
    for (std::set<int>* set : {&groups_[index].before, &groups_[index].barriers}) {
      std::set<int> settled;
      for (int group : *set)
        if (merged(group) != index) settled.insert(merged(group));
      *set = std::move(settled);
    }
  }
}

// A way from one group to the other by way of a third. What waits for nothing as late as the beginning of
// `from` cannot lie on it.
bool FusionGroups::reaches_around(int from, int to) const {
  std::unordered_set<int> seen;
  std::vector<int> stack;
  const auto push = [&](int group) {
    group = merged(group);
    if (group != to && last_[group] >= first_[from] && seen.insert(group).second) stack.push_back(group);
  };
  for (int before : groups_[to].before)
    if (merged(before) != from) push(before);
  while (!stack.empty()) {
    const int group = stack.back();
    stack.pop_back();
    if (group == from) return true;
    for (int before : groups_[group].before) push(before);
  }
  return false;
}

// Variables that lie where v is read from.
bool FusionGroups::reads_variable(Value v, const std::set<std::string>& names) const {
  if (group_of(v.node) >= 0) return false;
  const Node& node = graph_[v.node];
  if (node.op == Op::Variable) return names.contains(node.attributes.string(Attr::Symbol));
  return std::any_of(node.operands.begin(), node.operands.end(),
                     [&](Value operand) { return reads_variable(operand, names); });
}

// Only loops over elements may overwrite what they read; any other kernel would need a copy of the variable.
bool FusionGroups::spoils_update(KernelForm form, const std::vector<NodeId>& nodes) const {
  if (form == KernelForm::Elementwise) return false;
  std::set<std::string> updated;
  for (NodeId id : nodes)
    if (auto it = updated_.find(id); it != updated_.end())
      updated.insert(it->second.begin(), it->second.end());
  if (updated.empty()) return false;
  if (form == KernelForm::RowReduce) return true;  // nor do a norm and the step it scales go into one kernel
  for (NodeId id : nodes)
    for (Value operand : graph_[id].operands)
      if (reads_variable(operand, updated)) return true;
  return false;
}

bool FusionGroups::merge(int into, int from) {
  // What was refused is refused until one of the two grows: other groups' merging takes no dependence away.
  const size_t size = groups_[into].nodes.size() + groups_[from].nodes.size();
  size_t& failed = failed_[{into, from}];
  if (failed == size) return false;
  failed = size;
  if (into == from || groups_[into].nodes.size() + groups_[from].nodes.size() > kMostNodes) return false;
  const auto bars = [&](int group, int other) {
    const std::set<int>& barriers = groups_[group].barriers;
    return std::any_of(barriers.begin(), barriers.end(),
                       [&](int barrier) { return merged(barrier) == other; });
  };
  if (bars(into, from) || bars(from, into)) return false;
  if (!groups_[into].copies.empty() || !groups_[from].copies.empty()) return false;
  std::vector<NodeId> nodes;
  std::merge(groups_[into].nodes.begin(), groups_[into].nodes.end(), groups_[from].nodes.begin(),
             groups_[from].nodes.end(), std::back_inserter(nodes),
             [&](NodeId a, NodeId b) { return position_.at(a) < position_.at(b); });
  const auto is_result = [&](NodeId id) {
    if (is_pinned(id)) return true;
    const auto it = readers_.find(id);
    if (it == readers_.end()) return false;
    return std::any_of(it->second.begin(), it->second.end(),
                       [&](NodeId reader) { return group_of(reader) != into && group_of(reader) != from; });
  };
  const auto form = kernel_form(graph_, nodes, is_result);
  if (!form) return false;
  if (spoils_update(*form, nodes)) return false;
  if (reaches_around(into, from) || reaches_around(from, into)) return false;
  groups_[into].nodes = std::move(nodes);
  groups_[into].form = *form;
  for (NodeId id : groups_[from].nodes) group_of_[id] = into;
  groups_[from] = {};
  merged_into_[from] = into;
  first_[into] = std::min(first_[into], first_[from]);
  waiting_for_[into].insert(waiting_for_[into].end(), waiting_for_[from].begin(), waiting_for_[from].end());
  const int last = std::max(last_[into], last_[from]);
  last_[into] =
      std::min(last_[into], last_[from]);  // below `last` unless equal, so that all who wait are raised
  raise_last(into, last);
  find_dependences(into);
  return true;
}

bool FusionGroups::add_copies(int group, const std::set<NodeId>& cone) {
  std::vector<NodeId> nodes = groups_[group].nodes;
  nodes.insert(nodes.end(), groups_[group].copies.begin(), groups_[group].copies.end());
  for (NodeId id : cone)
    if (!is_in(id, group)) nodes.push_back(id);
  if (nodes.size() > kMostNodes) return false;
  std::sort(nodes.begin(), nodes.end(),
            [&](NodeId a, NodeId b) { return position_.at(a) < position_.at(b); });
  const std::vector<NodeId> kept = results(group);
  const auto form = kernel_form(
      graph_, nodes, [&](NodeId id) { return std::find(kept.begin(), kept.end(), id) != kept.end(); });
  if (form != groups_[group].form || spoils_update(*form, nodes)) return false;
  groups_[group].copies.insert(cone.begin(), cone.end());
  for (NodeId id : cone) copied_in_[id].insert(group);
  find_dependences(group);
  return true;
}

void FusionGroups::prune() {
  const std::vector<int> sequence = order();
  for (auto it = sequence.rbegin(); it != sequence.rend(); ++it) {
    Group& group = groups_[*it];
    std::vector<NodeId> stack = results(*it);
    std::set<NodeId> needed(stack.begin(), stack.end());
    while (!stack.empty()) {
      const NodeId id = stack.back();
      stack.pop_back();
      if (needs_memory(id)) continue;
      for (Value operand : graph_[id].operands)
        for (Value source : sources(operand))
          if (is_in(source.node, *it) && needed.insert(source.node).second) stack.push_back(source.node);
    }
    std::erase_if(group.copies, [&](NodeId id) {
      if (needed.contains(id)) return false;
      copied_in_[id].erase(*it);
      return true;
    });
    std::erase_if(group.nodes, [&](NodeId id) {
      if (needed.contains(id)) return false;
      group_of_[id] = kUnused;
      return true;
    });
    find_dependences(*it);
  }
  // A group without results is gone, and nothing reads from it.
  for (Group& group : groups_)
    for (std::set<int>* set : {&group.before, &group.barriers})
      std::erase_if(*set, [&](int before) { return groups_[before].nodes.empty(); });
}

std::set<int> FusionGroups::readers(NodeId id) const {
  std::set<int> result;
  const int own = group_of(id);
  const auto visit = [&](NodeId reader, int group) {
    if (group >= 0 && group != own && !is_in(id, group) && is_in(reader, group)) result.insert(group);
  };
  const auto it = readers_.find(id);
  if (it == readers_.end()) return result;
  for (NodeId reader : it->second) {
    visit(reader, group_of(reader));
    if (const auto copied = copied_in_.find(reader); copied != copied_in_.end())
      for (int group : copied->second) visit(reader, group);
  }
  return result;
}

std::vector<NodeId> FusionGroups::results(int group) const {
  std::vector<NodeId> result;
  for (NodeId id : groups_[group].nodes)
    if (is_pinned(id) || !readers(id).empty()) result.push_back(id);
  return result;
}

std::vector<NodeId> FusionGroups::inputs(int group) const {
  std::set<NodeId> result;
  const auto visit = [&](NodeId id) {
    for (Value operand : graph_[id].operands) {
      if (needs_memory(id)) {
        Value v = operand;
        while (fusion_role(graph_[v.node].op) == FusionRole::View) v = graph_[v.node].operands[0];
        result.insert(v.node);
        continue;
      }
      for (Value source : sources(operand))
        if (!is_in(source.node, group)) result.insert(source.node);
    }
  };
  for (NodeId id : groups_[group].nodes) visit(id);
  for (NodeId id : groups_[group].copies) visit(id);
  return {result.begin(), result.end()};
}

int64_t FusionGroups::extent(int group) const {
  int64_t most = 0;
  for (NodeId id : groups_[group].nodes) most = std::max(most, count(id));
  for (NodeId id : inputs(group)) most = std::max(most, count(id));
  return most;
}

std::vector<int> FusionGroups::order() {
  settle();
  std::vector<std::set<int>> after(groups_.size());
  std::vector<size_t> waiting(groups_.size(), 0);
  std::set<std::pair<int, int>> ready;  // by the position of the first node
  const auto key = [&](int group) { return std::pair(position_.at(groups_[group].nodes[0]), group); };
  size_t total = 0;
  for (int group = 0; group < static_cast<int>(groups_.size()); ++group) {
    if (groups_[group].nodes.empty()) continue;
    ++total;
    waiting[group] = groups_[group].before.size();
    for (int before : groups_[group].before) after[before].insert(group);
    if (waiting[group] == 0) ready.insert(key(group));
  }
  std::vector<int> result;
  while (!ready.empty()) {
    const int group = ready.begin()->second;
    ready.erase(ready.begin());
    result.push_back(group);
    for (int next : after[group])
      if (--waiting[next] == 0) ready.insert(key(next));
  }
  NNCC_CHECK(result.size() == total, "the groups of fuse-kernels depend on each other");
  return result;
}

}  // namespace nncc
