#include "passes/graph_planner.h"

#include <algorithm>

#include "ir/builder.h"
#include "ir/diagnostic.h"
#include "ir/scan.h"
#include "ir/scatter.h"
#include "passes/fusion_rules.h"
#include "passes/kernel_aliasing.h"

namespace nncc {

int64_t ConstantPool::offset(const Literal& literal) {
  const auto [it, added] = offsets_.try_emplace({literal.type().dtype, literal.to_bytes()}, bytes_);
  if (added) bytes_ = align_up(bytes_ + literal.type().byte_size() + kSpareBytes, kBufferAlignment);
  return it->second;
}

namespace {

// What has a place in the order: kernel calls and what else the entry does itself.
bool is_step(const Node& node) {
  return node.op == Op::Kernel || fusion_role(node.op) == FusionRole::Outside;
}

// Whether running the node may end the entry with an error.
bool may_fail(const Module& module, const Node& node) {
  if (node.op == Op::CheckIndex) return true;
  if (node.op != Op::Scan) return false;
  const Graph& body = module.find_function(node.attributes.string(Attr::Symbol))->body;
  const std::vector<NodeId> nodes = body.nodes();
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) { return may_fail(module, body[id]); });
}

}  // namespace

GraphPlan GraphPlanner::plan(int carries) {
  copy_graph();
  place_updates();
  place_results(carries);
  check_before_writing();
  Schedule best = schedule(stable_order());
  if (Schedule other = schedule(frugal_order()); other.arena.bytes < best.arena.bytes)
    best = std::move(other);
  for (size_t i = 0; i < best.storages.size(); ++i) {
    storages_[best.storages[i]].placed = true;
    storages_[best.storages[i]].place = {Space::Arena, 0, best.arena.offsets[best.shares[i]]};
  }
  list_peak(best);
  result_.arena_bytes = best.arena.bytes;
  result_.lower_bound = best.arena.lower_bound;
  result_.in_place = best.in_place;
  for (NodeId copy : copies_) result_.copies += !is_idle_copy(copy);
  std::map<NodeId, NodeId> source_of;
  for (const auto& [source, copy] : node_map_)
    if (is_step(source_[source])) source_of[copy] = source;
  for (int step : best.order) {
    if (auto it = source_of.find(steps_[step].id); it != source_of.end()) result_.order.push_back(it->second);
    // A concat is done with its last piece.
    for (auto& [concat, writers] : row_concats_)
      if (writers.erase(step) && writers.empty()) result_.order.push_back(concat);
  }
  result_.graph = emit(best.order);
  return std::move(result_);
}

// The working copy.

int GraphPlanner::add_fresh(int64_t bytes) {
  Storage storage;
  storage.bytes = bytes;
  storage.fresh = true;
  storages_.push_back(storage);
  return static_cast<int>(storages_.size()) - 1;
}

int GraphPlanner::add_fixed(Place place, int64_t bytes) {
  Storage storage;
  storage.bytes = bytes;
  storage.placed = true;
  storage.place = place;
  storages_.push_back(storage);
  return static_cast<int>(storages_.size()) - 1;
}

GraphPlanner::Region GraphPlanner::root_region(Value v) const {
  Region region = regions_.at(v);
  while (storages_[region.storage].parent >= 0) {
    const Storage& storage = storages_[region.storage];
    region.storage = storage.parent;
    if (storage.in_rows)
      region.offset = 0, region.bytes = storages_[storage.parent].bytes;
    else
      region.offset += storage.offset;
  }
  return region;
}

bool GraphPlanner::is_in_arena(int storage) const {
  return storages_[storage].fresh && !storages_[storage].placed;
}

// Made here, not yet part of anything, and all of it.
bool GraphPlanner::is_whole_fresh(const Region& region) const {
  const Storage& storage = storages_[region.storage];
  return storage.fresh && !storage.placed && storage.parent < 0 && region.offset == 0 &&
         region.bytes == storage.bytes;
}

void GraphPlanner::collect_producers(Value v, std::set<int>& steps) const {
  if (auto it = step_of_.find(v.node); it != step_of_.end()) {
    steps.insert(it->second);
    return;
  }
  for (Value operand : graph_[v.node].operands) collect_producers(operand, steps);
}

void GraphPlanner::append_step(NodeId kernel) {
  Step step;
  step.id = kernel;
  for (Value operand : graph_[kernel].operands) collect_producers(operand, step.before);
  step_of_[kernel] = static_cast<int>(steps_.size());
  steps_.push_back(std::move(step));
}

NodeId GraphPlanner::add_to_copy(Node node) {
  if (node.op == Op::Scan) {
    const Function& step = *module_.find_function(node.attributes.string(Attr::Symbol));
    const int64_t bytes = scan_workspace(node, step).bytes;
    node.types.push_back({DType::U8, {std::max(bytes, kBufferAlignment)}});
  }
  const NodeId id = graph_.add(std::move(node));
  if (graph_[id].op == Op::CheckIndex) {  // its result is its operand
    regions_[{id, 0}] = regions_.at(graph_[id].operands[0]);
    append_step(id);
  } else if (is_step(graph_[id])) {
    for (size_t i = 0; i < graph_[id].types.size(); ++i) {
      const int64_t bytes = graph_[id].types[i].byte_size();
      regions_[{id, static_cast<int>(i)}] = {add_fresh(bytes), 0, bytes};
    }
    append_step(id);
  }
  return id;
}

Value GraphPlanner::add_copy(Value v) {
  GraphBuilder builder(graph_);
  const TensorType type = graph_.type(v);
  const Value flat = builder.reshape(v, {type.num_elements()});
  regions_.try_emplace(flat, regions_.at(v));
  const std::string name = kernels_.intern_copy(graph_.type(flat));
  const NodeId kernel = add_kernel(graph_, *module_.find_function(name), std::array{flat});
  copies_.insert(kernel);
  const int64_t bytes = type.byte_size();
  const Region region{add_fresh(bytes), 0, bytes};
  regions_[{kernel, 0}] = region;
  append_step(kernel);
  if (root_region(v).storage == variables_) copy_before_updates(root_region(v));
  const Value shaped = builder.reshape({kernel, 0}, type.shape);
  regions_.try_emplace(shaped, region);
  return shaped;
}

// A copy of what lies where it is copied to.
bool GraphPlanner::is_idle_copy(NodeId id) const {
  return copies_.contains(id) && place_of(graph_[id].operands[0]) == place_of({id, 0});
}

void GraphPlanner::copy_graph() {
  variables_ = add_fixed({Space::Variables, 0, 0}, 0);
  constant_data_ = add_fixed({Space::Constants, 0, 0}, 0);
  for (size_t i = 0; i < source_.arguments.size(); ++i) {
    const Graph::Argument& argument = source_.arguments[i];
    const TensorType& type = source_.type(argument.value);
    const Value v = graph_.add_argument(argument.name, type, source_[argument.value.node].location);
    regions_[v] = {add_fixed({Space::Input, static_cast<int>(i), 0}, type.byte_size()), 0, type.byte_size()};
    node_map_[argument.value.node] = v.node;
  }
  for (NodeId id : source_.topological_order()) {
    if (node_map_.contains(id)) continue;
    Node node = source_[id];
    for (Value& operand : node.operands) operand = mapped(operand);
    if (const Node* concat = row_concat(id)) {
      place_row_concat(id, *concat);
    } else if (is_step(node)) {
      // What a kernel adds to is overwritten: the last use of it, or a copy. Of a variable that the result
      // replaces there is none in the end.
      const std::optional<int> accumulated =
          node.op == Op::Kernel
              ? accumulated_argument(module_.find_function(node.attributes.string(Attr::Symbol))->body)
              : std::nullopt;
      if (accumulated && !is_last_use(source_[id].operands[*accumulated]))
        node.operands[*accumulated] = add_copy(node.operands[*accumulated]);
      node_map_[id] = add_to_copy(std::move(node));
      if (accumulated)
        regions_[{node_map_[id], 0}] = regions_.at(graph_[node_map_[id]].operands[*accumulated]);
    } else if (node.op == Op::Variable) {
      const Variable* variable = module_.find_variable(node.attributes.string(Attr::Symbol));
      NNCC_CHECK(variable && variable->offset, "a variable has no offset");
      node_map_[id] = add_to_copy(std::move(node));
      regions_[{node_map_[id], 0}] = {variables_, *variable->offset, variable->type.byte_size()};
    } else if (node.op == Op::Constant) {
      const int64_t bytes = node.types[0].byte_size();
      const int64_t offset = constants_.offset(node.attributes.literal(Attr::Value));
      node_map_[id] = add_to_copy(std::move(node));
      regions_[{node_map_[id], 0}] = {constant_data_, offset, bytes};
    } else if (view_offset(source_, id)) {
      node_map_[id] = add_to_copy(std::move(node));
      place_view(id, node_map_[id]);
    } else if (is_contiguous_concat(source_, id)) {
      place_concat(id);
    } else {
      NNCC_CHECK(op_info(node.op).has(Movement),
                 "`" + std::string(op_info(node.op).name) + "` outside of a kernel");
      Graph body;
      Node inner = source_[id];
      for (size_t i = 0; i < inner.operands.size(); ++i)
        inner.operands[i] = body.add_argument("x" + std::to_string(i), source_.type(inner.operands[i]));
      body.results.push_back({"result", {body.add(std::move(inner)), 0}});
      const std::string name = kernels_.intern(std::move(body));
      const NodeId kernel = add_kernel(graph_, *module_.find_function(name), node.operands);
      ++result_.copies;
      const int64_t bytes = node.types[0].byte_size();
      regions_[{kernel, 0}] = {add_fresh(bytes), 0, bytes};
      append_step(kernel);
      node_map_[id] = kernel;
    }
  }
}

// Variables and results.

bool GraphPlanner::is_before(int first, int second) const {
  std::vector<int> stack = {second};
  std::set<int> seen = {second};
  while (!stack.empty()) {
    const int step = stack.back();
    stack.pop_back();
    if (step == first) return true;
    for (int before : steps_[step].before)
      if (seen.insert(before).second) stack.push_back(before);
  }
  return false;
}

// False, and nothing changed, if `after` has to come before `before`.
bool GraphPlanner::add_order(int before, int after) {
  if (is_before(after, before)) return false;
  steps_[after].before.insert(before);
  return true;
}

// A storage may lie on the variables it replaces if everything that reads their old values can run before it
// is written, or reads, in the kernel that writes, each element just where it is overwritten.
bool GraphPlanner::try_update_in_place(int storage, int64_t variables_offset) {
  std::vector<std::pair<int, int>> added;
  const auto attempt = [&] {
    for (int writer = 0; writer < static_cast<int>(steps_.size()); ++writer) {
      const Node& writing = graph_[steps_[writer].id];
      for (int result = 0; result < static_cast<int>(writing.types.size()); ++result) {
        Region written = root_region({steps_[writer].id, result});
        if (written.storage != storage) continue;
        written.storage = variables_;
        written.offset += variables_offset;
        for (int reader = 0; reader < static_cast<int>(steps_.size()); ++reader) {
          const Node& reading = graph_[steps_[reader].id];
          for (int operand = 0; operand < static_cast<int>(reading.operands.size()); ++operand) {
            const Region read = root_region(reading.operands[operand]);
            if (!read.overlaps(written)) continue;
            if (reader == writer) {
              if (writing.op != Op::Kernel) return false;
              const Function& kernel = *module_.find_function(writing.attributes.string(Attr::Symbol));
              if (read != written || !may_overwrite(kernel, operand, result)) return false;
            } else if (!steps_[writer].before.contains(reader)) {
              if (!add_order(reader, writer)) return false;
              added.emplace_back(reader, writer);
            }
          }
        }
      }
    }
    return true;
  };
  if (!attempt()) {
    for (const auto& [reader, writer] : added) steps_[writer].before.erase(reader);
    return false;
  }
  storages_[storage].placed = true;
  storages_[storage].place = {Space::Variables, 0, variables_offset};
  return true;
}

// The copy runs after all readers of the old value; nothing waits for it, so there always is such an order.
void GraphPlanner::copy_to_variable(const std::string& name, Value v) {
  const Value copy = add_copy(v);
  for (Graph::Update& update : graph_.updates)
    if (update.variable == name) update.value = copy;
  const int64_t offset = *module_.find_variable(name)->offset;
  NNCC_CHECK(try_update_in_place(root_region(copy).storage, offset),
             "no order for the update of `" + name + "`");
}

// The step added last copies from variables; those that overwrite what it reads come after it. It waits for
// nothing but data, so they can.
void GraphPlanner::copy_before_updates(const Region& read) {
  const int copy = static_cast<int>(steps_.size()) - 1;
  for (int writer = 0; writer < copy; ++writer) {
    for (int result = 0; result < static_cast<int>(graph_[steps_[writer].id].types.size()); ++result) {
      Region written = root_region({steps_[writer].id, result});
      const Storage& storage = storages_[written.storage];
      if (!storage.placed || storage.place.space != Space::Variables) continue;
      written = {variables_, written.offset + storage.place.offset, written.bytes};
      if (written.overlaps(read))
        NNCC_CHECK(add_order(copy, writer), "a variable is overwritten before it is copied");
    }
  }
}

void GraphPlanner::place_updates() {
  struct Target {
    std::string variable;
    int64_t offset;  // of the variable
    Region source;   // of its new value
  };
  std::map<int, std::vector<Target>> by_storage;
  std::vector<Graph::Update> copied;
  for (const Graph::Update& update : source_.updates) {
    const Value v = mapped(update.value);
    graph_.updates.push_back({update.variable, v});
    const Region region = root_region(v);
    const int64_t offset = *module_.find_variable(update.variable)->offset;
    if (storages_[region.storage].fresh)
      by_storage[region.storage].push_back({update.variable, offset, region});
    else if (region.storage != variables_ || region.offset != offset)
      copied.push_back({update.variable, v});
  }
  for (auto& [storage, targets] : by_storage) {
    // The new values may lie together as their variables do. Where a value goes to several variables, one
    // gets it.
    std::set<int64_t> bases;
    for (const Target& target : targets) bases.insert(target.offset - target.source.offset);
    std::optional<int64_t> base;
    for (int64_t candidate : bases) {
      std::map<int64_t, int64_t> parts;  // start to end
      for (const Target& target : targets)
        if (target.offset - target.source.offset == candidate)
          parts.emplace(target.source.offset, target.source.end());
      int64_t covered = 0;
      for (const auto& [start, end] : parts)
        if (start <= covered) covered = std::max(covered, end);
      if (covered == storages_[storage].bytes && try_update_in_place(storage, candidate)) {
        base = candidate;
        break;
      }
    }
    for (const Target& target : targets) {
      if (base && target.offset - target.source.offset == *base) {
        ++result_.direct_updates;
        continue;
      }
      for (const Graph::Update& update : graph_.updates)
        if (update.variable == target.variable) copied.push_back(update);
    }
  }
  // First what reads old values, which the copies into variables then overwrite.
  for (Graph::Update& update : copied)
    if (root_region(update.value).storage == variables_) update.value = add_copy(update.value);
  for (const Graph::Update& update : copied) copy_to_variable(update.variable, update.value);
}

void GraphPlanner::place_results(int carries) {
  const auto count = static_cast<int>(source_.results.size());
  graph_.results.resize(source_.results.size());
  std::map<Value, Value> stacked;  // of the source
  const auto place = [&](int i) {
    const Value source = source_.results[i].value;
    Value v = mapped(source);
    if (!is_whole_fresh(regions_.at(v))) v = add_copy(v);
    Storage& storage = storages_[regions_.at(v).storage];
    storage.placed = true;
    storage.place = {Space::Output, i, 0};
    graph_.results[i] = {source_.results[i].name, v};
    if (i >= carries) stacked.emplace(source, v);
  };
  for (int i = carries; i < count; ++i) place(i);
  for (int i = 0; i < carries; ++i) {
    const auto same = stacked.find(source_.results[i].value);
    if (same == stacked.end())
      place(i);
    else
      graph_.results[i] = {source_.results[i].name, same->second};
  }
}

// Nothing is changed before all that may fail has not failed; but for what is computed from a new value.
void GraphPlanner::check_before_writing() {
  std::vector<int> checks, writers;
  for (int step = 0; step < static_cast<int>(steps_.size()); ++step) {
    const Node& node = graph_[steps_[step].id];
    if (may_fail(module_, node)) checks.push_back(step);
    for (int i = 0; node.op == Op::Kernel && i < static_cast<int>(node.types.size()); ++i) {
      const Storage& storage = storages_[root_region({steps_[step].id, i}).storage];
      if (!storage.placed || storage.place.space != Space::Variables) continue;
      writers.push_back(step);
      break;
    }
  }
  for (int check : checks)
    for (int writer : writers)
      if (!steps_[writer].before.contains(check)) add_order(check, writer);
}

// Order and arena.

std::vector<int> GraphPlanner::order_by(const std::function<int(const std::set<int>&)>& choose) const {
  std::vector<int> order;
  std::vector<std::vector<int>> after(steps_.size());
  std::vector<size_t> waiting(steps_.size());
  std::set<int> ready;
  for (int step = 0; step < static_cast<int>(steps_.size()); ++step) {
    waiting[step] = steps_[step].before.size();
    if (waiting[step] == 0) ready.insert(step);
    for (int before : steps_[step].before) after[before].push_back(step);
  }
  while (!ready.empty()) {
    const int step = choose(ready);
    ready.erase(step);
    order.push_back(step);
    for (int next : after[step])
      if (--waiting[next] == 0) ready.insert(next);
  }
  NNCC_CHECK(order.size() == steps_.size(), "the kernels cannot be ordered");
  return order;
}

std::vector<int> GraphPlanner::stable_order() const {
  return order_by([](const std::set<int>& ready) { return *ready.begin(); });
}

// At each point the ready kernel after which the least is alive; the oldest of equals.
std::vector<int> GraphPlanner::frugal_order() const {
  std::vector<int> readers_left(storages_.size(), 0);
  std::vector<std::set<int>> reads(steps_.size()), writes(steps_.size());
  for (size_t step = 0; step < steps_.size(); ++step) {
    const Node& node = graph_[steps_[step].id];
    for (Value operand : node.operands)
      if (const int storage = root_region(operand).storage; is_in_arena(storage)) reads[step].insert(storage);
    for (size_t i = 0; i < node.types.size(); ++i) {
      // Of what lies in a larger one, that part alone.
      const Value v{steps_[step].id, static_cast<int>(i)};
      if (is_in_arena(root_region(v).storage)) writes[step].insert(regions_.at(v).storage);
    }
    for (int storage : reads[step]) ++readers_left[storage];
  }
  std::vector<bool> alive(storages_.size(), false);
  return order_by([&](const std::set<int>& ready) {
    int best = -1;
    int64_t best_growth = 0;
    for (int step : ready) {
      int64_t growth = 0;
      for (int storage : writes[step])
        if (!alive[storage]) growth += storages_[storage].bytes;
      for (int storage : reads[step])
        if (readers_left[storage] == 1) growth -= storages_[storage].bytes;
      if (best < 0 || growth < best_growth) best = step, best_growth = growth;
    }
    for (int storage : writes[best]) alive[storage] = true;
    for (int storage : reads[best]) --readers_left[storage];
    return best;
  });
}

GraphPlanner::Schedule GraphPlanner::schedule(std::vector<int> order) const {
  Schedule s;
  s.order = std::move(order);
  std::map<int, std::vector<LiveRange>> live;  // by storage
  const auto touch = [&](Value v, int time) {
    const Region region = root_region(v);
    if (is_in_arena(region.storage))
      live[region.storage].push_back({time, time, region.offset, region.bytes});
  };
  for (int time = 0; time < static_cast<int>(s.order.size()); ++time) {
    const NodeId id = steps_[s.order[time]].id;
    for (Value operand : graph_[id].operands) touch(operand, time);
    for (size_t i = 0; i < graph_[id].types.size(); ++i) touch({id, static_cast<int>(i)}, time);
  }
  // A result may take over the buffer of an operand that dies in the same kernel.
  std::map<int, int> heir_of;  // storage to the one whose buffer it takes
  const auto owner = [&](int storage) {
    while (heir_of.contains(storage)) storage = heir_of.at(storage);
    return storage;
  };
  for (int time = 0; time < static_cast<int>(s.order.size()); ++time) {
    const Node& node = graph_[steps_[s.order[time]].id];
    if (node.op != Op::Kernel) continue;  // a scan reads its operands to the end
    const Function& kernel = *module_.find_function(node.attributes.string(Attr::Symbol));
    std::set<int> taken;
    for (int result = 0; result < static_cast<int>(node.types.size()); ++result) {
      const Region written = regions_.at({steps_[s.order[time]].id, result});
      if (!is_whole_fresh(written)) continue;
      for (int operand = 0; operand < static_cast<int>(node.operands.size()); ++operand) {
        const Region read = regions_.at(node.operands[operand]);
        if (!is_whole_fresh(read) || read.bytes != written.bytes || taken.contains(read.storage)) continue;
        const std::vector<LiveRange>& touched = live.at(read.storage);  // in the order of time
        if (touched.back().last != time || touched.front().first == time) continue;
        const auto same_buffer = [&](int other) {
          return other != operand && owner(root_region(node.operands[other]).storage) == owner(read.storage);
        };
        bool alone = true;
        for (int other = 0; other < static_cast<int>(node.operands.size()); ++other) {
          if (!same_buffer(other)) continue;
          alone = alone && regions_.at(node.operands[other]) == read && may_overwrite(kernel, other, result);
        }
        if (!alone || !may_overwrite(kernel, operand, result)) continue;
        taken.insert(read.storage);
        heir_of[written.storage] = read.storage;
        ++s.in_place;
        break;
      }
    }
  }
  std::map<int, int> index;  // of an owner's buffer
  std::vector<std::vector<LiveRange>> ranges;
  for (const auto& [storage, touched] : live) {
    const auto [it, added] = index.try_emplace(owner(storage), static_cast<int>(ranges.size()));
    if (added) ranges.emplace_back();
    std::vector<LiveRange>& shared = ranges[it->second];
    shared.insert(shared.end(), touched.begin(), touched.end());
    s.storages.push_back(storage);
    s.shares.push_back(it->second);
  }
  for (std::vector<LiveRange>& shared : ranges) s.buffers.push_back(make_buffer(std::move(shared)));
  s.arena = plan_arena(s.buffers);
  return s;
}

// Each buffer once, by the first value in it that has a name, or else by the kernel that writes it.
void GraphPlanner::list_peak(const Schedule& schedule) {
  std::set<int> listed;              // of the buffers
  std::map<int, std::string> names;  // of storages
  for (const auto& [value, region] : regions_) {
    const Node& node = graph_[value.node];
    std::string& name = names[region.storage];
    if (name.empty()) name = node.name;
    if (name.empty() && step_of_.contains(value.node) && node.attributes.find(Attr::Symbol))
      name = node.attributes.string(Attr::Symbol) + "#" + std::to_string(value.result);
    if (name.empty() && region.storage == root_region(value).storage) name = op_info(node.op).name;
  }
  for (size_t i = 0; i < schedule.storages.size(); ++i) {
    int64_t alive = 0;
    for (const LiveRange& part : schedule.buffers[schedule.shares[i]].parts)
      if (part.first <= schedule.arena.peak_step && schedule.arena.peak_step <= part.last)
        alive += part.bytes;
    const std::string& name = names[schedule.storages[i]];
    if (alive == 0 || name.empty() || !listed.insert(schedule.shares[i]).second) continue;
    result_.alive_at_peak[name] += alive;
  }
}

Place GraphPlanner::place_of(Value v) const {
  Region region = regions_.at(v);
  while (storages_[region.storage].parent >= 0) {
    region.offset += storages_[region.storage].offset;
    region.storage = storages_[region.storage].parent;
  }
  NNCC_CHECK(storages_[region.storage].placed, "a value has no place");
  Place place = storages_[region.storage].place;
  place.offset += region.offset;
  return place;
}

Graph GraphPlanner::emit(const std::vector<int>& order) {
  Graph out;
  std::map<NodeId, NodeId> emitted;
  for (const Graph::Argument& argument : graph_.arguments) {
    const Value v =
        out.add_argument(argument.name, graph_.type(argument.value), graph_[argument.value.node].location);
    out.set_name(v.node, graph_[argument.value.node].name);
    out.set_places(v.node, {place_of(argument.value)});
    emitted[argument.value.node] = v.node;
  }
  const std::function<Value(Value)> emit_value = [&](Value v) -> Value {
    if (auto it = emitted.find(v.node); it != emitted.end()) return {it->second, v.result};
    if (is_idle_copy(v.node)) return emit_value(graph_[v.node].operands[0]);
    Node node = graph_[v.node];
    for (Value& operand : node.operands) operand = emit_value(operand);
    node.places.clear();
    for (size_t i = 0; i < node.types.size(); ++i)
      node.places.push_back(place_of({v.node, static_cast<int>(i)}));
    emitted[v.node] = out.add(std::move(node));
    return {emitted[v.node], v.result};
  };
  for (int step : order) emit_value({steps_[step].id, 0});
  for (const Graph::Result& result : graph_.results)
    out.results.push_back({result.name, emit_value(result.value)});
  for (const Graph::Update& update : graph_.updates)
    out.updates.push_back({update.variable, emit_value(update.value)});
  return out;
}

}  // namespace nncc
