#include "passes/flatten_updates.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/builder.h"
#include "passes/fusion_rules.h"

namespace nncc {

namespace {

// One value for each of some neighbours of a slab.
using Values = std::vector<Value>;

class Flattener {
 public:
  Flattener(const Module& module, Graph& graph) : module_(module), graph_(graph), builder_(graph) {
    for (const Variable& variable : module.variables)
      if (!variable.slab.empty()) neighbours_[variable.slab].push_back(variable.name);
  }

  // How many updates were put into vectors.
  int run() {
    int flattened = 0;
    for (const auto& slabs : alike_slabs()) flattened += flatten_slabs(slabs);
    if (flattened > 0) flatten_sums();
    return flattened;
  }
  int sums() const { return sums_; }

 private:
  struct Slab {
    std::vector<std::string> variables;  // that the graph updates, neighbours in this order
    Values updates;
  };

  // Runs of slabs with equally many variables of equal sizes: parameters and their states.
  std::vector<std::vector<Slab>> alike_slabs() const {
    std::map<std::string, Value> updates;
    for (const Graph::Update& update : graph_.updates) updates[update.variable] = update.value;
    std::map<std::vector<int64_t>, std::vector<Slab>> by_sizes;
    for (const auto& [name, variables] : neighbours_) {
      // What is updated of a slab, neighbour by neighbour.
      Slab run;
      std::vector<int64_t> sizes;
      const auto end_run = [&] {
        if (run.variables.size() > 1) by_sizes[sizes].push_back(run);
        run = {};
        sizes.clear();
      };
      for (const std::string& variable : variables) {
        if (!updates.contains(variable)) {
          end_run();
          continue;
        }
        run.variables.push_back(variable);
        run.updates.push_back(updates.at(variable));
        sizes.push_back(module_.find_variable(variable)->type.num_elements());
      }
      end_run();
    }
    std::vector<std::vector<Slab>> result;
    for (auto& [sizes, slabs] : by_sizes) result.push_back(std::move(slabs));
    return result;
  }

  // Runs of neighbours as long as they will be; states break where their parameters do.
  int flatten_slabs(const std::vector<Slab>& slabs) {
    int flattened = 0;
    const size_t count = slabs[0].variables.size();
    for (size_t first = 0; first + 1 < count;) {
      size_t last = first + 1;
      const auto all_match = [&](size_t end) {
        return std::all_of(slabs.begin(), slabs.end(), [&](const Slab& slab) {
          const Values values(slab.updates.begin() + first, slab.updates.begin() + end);
          return !is_leaf(values) && matches(values);
        });
      };
      // Mostly all of them; else as far as doubling, and then halving, the step goes.
      for (size_t step = count - first - 1; step > 0; step /= 2)
        while (last + step <= count && all_match(last + step)) last += step;
      if (last - first > 1)
        for (const Slab& slab : slabs) {
          flatten({slab.variables.begin() + first, slab.variables.begin() + last},
                  {slab.updates.begin() + first, slab.updates.begin() + last});
          flattened += static_cast<int>(last - first);
        }
      first = last;
    }
    return flattened;
  }

  void flatten(const std::vector<std::string>& variables, const Values& values) {
    const Value flat = build(values);
    int64_t offset = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const TensorType type = graph_.type(values[i]);
      const int64_t n = type.num_elements();
      const Value piece = builder_.add_typed(
          Op::Slice, std::array{flat}, {type.dtype, {n}},
          {{Attr::Starts, std::vector<int64_t>{offset}}, {Attr::Strides, std::vector<int64_t>{1}}});
      const Value shaped = builder_.reshape(piece, type.shape);
      if (const std::string& name = graph_[values[i].node].name; !name.empty())
        graph_.set_name(shaped.node, name);
      for (Graph::Update& update : graph_.updates)
        if (update.variable == variables[i]) update.value = shaped;
      for (Graph::Result& result : graph_.results)
        if (result.value == values[i]) result.value = shaped;
      offset += n;
    }
  }

  const Node& node(Value v) const { return graph_[v.node]; }
  FusionRole role(Value v) const { return fusion_role(node(v).op); }

  bool all_splats(const Values& values) const {
    return std::all_of(values.begin(), values.end(), [&](Value v) {
      return is_splat_constant(node(v)) && node(v).attributes.literal(Attr::Value).real(0) ==
                                               node(values[0]).attributes.literal(Attr::Value).real(0);
    });
  }
  // The one number behind broadcasts and reshapes, or nothing.
  Value spread_of(Value v) const {
    while (role(v) == FusionRole::View || role(v) == FusionRole::Repeat) v = node(v).operands[0];
    return graph_.type(v).num_elements() == 1 ? v : Value{};
  }
  // The same scalar, spread over each.
  bool all_spread(const Values& values) const {
    const Value scalar = spread_of(values[0]);
    return scalar &&
           std::all_of(values.begin(), values.end(), [&](Value v) { return spread_of(v) == scalar; });
  }
  // Neighbours in memory, in this order.
  bool all_variables(const Values& values) const {
    const Variable* first = variable(values[0]);
    if (!first || first->slab.empty()) return false;
    const auto& names = neighbours_.at(first->slab);
    auto place = std::find(names.begin(), names.end(), first->name);
    for (Value v : values) {
      const Variable* next = variable(v);
      if (!next || place == names.end() || *place++ != next->name) return false;
    }
    return true;
  }
  const Variable* variable(Value v) const {
    return node(v).op == Op::Variable ? module_.find_variable(node(v).attributes.string(Attr::Symbol))
                                      : nullptr;
  }

  bool same_arithmetic(const Values& values) const {
    const Node& first = node(values[0]);
    if (fusion_role(first.op) != FusionRole::Pointwise) return false;
    return std::all_of(values.begin(), values.end(), [&](Value v) {
      if (node(v).op != first.op || node(v).attributes != first.attributes) return false;
      for (size_t i = 0; i < first.operands.size(); ++i)
        if (graph_.type(node(v).operands[i]).dtype != graph_.type(first.operands[i]).dtype) return false;
      return true;
    });
  }

  // Something that the entry computes and the vector takes as it is: a gradient. Not what is made of
  // variables alone.
  bool is_gradient(Value v) const {
    switch (role(v)) {
      case FusionRole::Data:
        return is_splat_constant(node(v)) || node(v).op == Op::Input;
      case FusionRole::Pointwise:
        return std::any_of(node(v).operands.begin(), node(v).operands.end(), [&](Value operand) {
          return role(operand) != FusionRole::Repeat && !is_splat_constant(node(operand)) &&
                 is_gradient(operand);
        });
      case FusionRole::Repeat:
        return !is_kept(node(v).operands[0]);
      default:
        return true;
    }
  }
  // A scalar of one parameter's own, which spread over that parameter would have to be stored as often.
  bool is_kept(Value v) const {
    if (const Variable* kept = variable(v)) return !kept->slab.empty();
    const FusionRole of = role(v);
    return (of == FusionRole::Pointwise || of == FusionRole::View || of == FusionRole::Repeat) &&
           std::any_of(node(v).operands.begin(), node(v).operands.end(),
                       [&](Value operand) { return is_kept(operand); });
  }
  // Taken by concatenation.
  bool is_leaf(const Values& values) const {
    return !all_splats(values) && !all_spread(values) && !same_arithmetic(values);
  }

  bool matches(const Values& values) {
    const auto [it, added] = matches_.try_emplace(values, false);
    if (!added) return it->second;
    const DType dtype = graph_.type(values[0]).dtype;
    bool result =
        std::all_of(values.begin(), values.end(), [&](Value v) { return graph_.type(v).dtype == dtype; });
    if (result && is_leaf(values)) {
      result = all_variables(values) ||
               std::all_of(values.begin(), values.end(), [&](Value v) { return is_gradient(v); });
    } else if (result && !all_splats(values) && !all_spread(values)) {
      for (size_t i = 0; result && i < node(values[0]).operands.size(); ++i)
        result = matches(operands(values, i));
    }
    return matches_[values] = result;
  }

  Values operands(const Values& values, size_t i) const {
    Values result;
    for (Value v : values) result.push_back(node(v).operands[i]);
    return result;
  }

  Value build(const Values& values) {
    if (auto it = flat_.find(values); it != flat_.end()) return it->second;
    TensorType type{graph_.type(values[0]).dtype, {0}};
    for (Value v : values) type.shape[0] += graph_.type(v).num_elements();
    const Location location = node(values[0]).location;
    Value result;
    if (all_splats(values)) {
      Literal literal = node(values[0]).attributes.literal(Attr::Value);
      result = builder_.constant(literal.is_float() ? Literal::splat(type, literal.real(0))
                                                    : Literal::splat_int(type, literal.integer(0)));
    } else if (all_spread(values)) {
      result = builder_.broadcast(builder_.reshape(spread_of(values[0]), {}), type.shape, {});
    } else if (same_arithmetic(values)) {
      Node flat;
      flat.op = node(values[0]).op;
      flat.attributes = node(values[0]).attributes;
      flat.types = {type};
      flat.location = location;
      const size_t count = node(values[0]).operands.size();
      for (size_t i = 0; i < count; ++i) flat.operands.push_back(build(operands(values, i)));
      result = {graph_.add(std::move(flat)), 0};
    } else {
      std::vector<Value> pieces;
      for (Value v : values) pieces.push_back(builder_.reshape(v, {graph_.type(v).num_elements()}));
      result = builder_.add(Op::Concat, pieces, {{Attr::Axis, int64_t{0}}});
      leaves_.insert(values);
    }
    graph_.set_location(result.node, location);
    return flat_[values] = result;
  }

  // s1 + s2 + …, each the sum of all elements of something, where that something is in vectors already but
  // for arithmetic.
  void flatten_sums() {
    for (NodeId id : graph_.topological_order()) {
      if (!is_scalar_sum(id)) continue;
      const std::vector<NodeId> users = graph_.users(id);
      if (users.size() == 1 && is_scalar_sum(users[0])) continue;  // not the last addition
      Values terms;
      std::vector<Value> rest;
      collect_terms({id, 0}, terms, rest);
      if (terms.size() < 2) continue;
      Values summed;
      for (Value term : terms) summed.push_back(node(term).operands[0]);
      if (!is_made_of_leaves(summed)) continue;
      Value total = builder_.add(Op::ReduceSum, {build(summed)}, {{Attr::Axes, std::vector<int64_t>{0}}});
      for (Value v : rest) total = builder_.add(total, v);
      graph_.set_location(total.node, graph_[id].location);
      if (!graph_[id].name.empty()) graph_.set_name(total.node, graph_[id].name);
      graph_.replace_all_uses({id, 0}, total);
      ++sums_;
    }
  }
  bool is_scalar_sum(NodeId id) const {
    return graph_[id].op == Op::Add && graph_[id].types[0].num_elements() == 1;
  }
  bool is_whole_sum(Value v) const {
    return node(v).op == Op::ReduceSum && graph_.type(v).rank() == 0 && graph_.uses(v).size() == 1;
  }
  void collect_terms(Value v, Values& terms, std::vector<Value>& rest) const {
    for (Value operand : node(v).operands) {
      if (is_whole_sum(operand))
        terms.push_back(operand);
      else if (is_scalar_sum(operand.node) && graph_.uses(operand).size() == 1)
        collect_terms(operand, terms, rest);
      else
        rest.push_back(operand);
    }
  }
  bool is_made_of_leaves(const Values& values) {
    if (flat_.contains(values) || all_splats(values) || all_spread(values)) return true;
    if (!same_arithmetic(values)) return false;
    for (size_t i = 0; i < node(values[0]).operands.size(); ++i)
      if (!is_made_of_leaves(operands(values, i))) return false;
    return true;
  }

  const Module& module_;
  Graph& graph_;
  GraphBuilder builder_;
  std::map<std::string, std::vector<std::string>> neighbours_;  // of a slab
  std::map<Values, bool> matches_;
  std::map<Values, Value> flat_;
  std::set<Values> leaves_;
  int sums_ = 0;
};

}  // namespace

bool flatten_updates(Module& module, PassContext& context) {
  bool changed = false;
  for (Entry& entry : module.entries) {
    Flattener flattener(module, entry.graph);
    const int flattened = flattener.run();
    context.count("updates put into vectors", flattened);
    context.count("sums over parameters put into one", flattener.sums());
    if (flattened == 0) continue;
    entry.graph.erase_dead();
    changed = true;
  }
  return changed;
}

}  // namespace nncc
