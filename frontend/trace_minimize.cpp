// `minimize`: gradients of all parameters, and optimizers traced for each of them.
//
// The stages run one after the other; within a stage every parameter runs the whole body. What needs all
// parameters at once, the global norm, is a placeholder while the bodies run and takes its value at the end
// of the stage.
#include <algorithm>

#include "frontend/tracer.h"
#include "ir/scan.h"

namespace nncc {

namespace {

struct GlobalNorm {
  std::vector<Value> squares;           // the sum for each parameter that asked
  std::map<DType, Value> placeholders;  // what stands for the norm until the stage ends
};

// The values that those of `ends` are computed from along paths that a gradient flows through. Through a loop
// they are those of its step.
std::set<Value> differentiable_ancestors(const Module& module, const Graph& graph,
                                         const std::vector<Value>& ends);

// The operands of a scan that its results `wanted` need, as far as a gradient flows.
std::vector<Value> reached_operands(const Module& module, const Node& scan, std::set<int> wanted) {
  const Graph& step = module.find_function(scan.attributes.string(Attr::Symbol))->body;
  const ScanParts parts = scan_parts(scan);
  for (int64_t steps = 1;; ++steps) {  // counted from the last one
    std::vector<Value> ends;
    for (const int result : wanted) ends.push_back(step.results[result].value);
    const std::set<Value> reached = differentiable_ancestors(module, step, ends);
    std::vector<Value> operands;
    bool again = false;
    for (int i = 0; i < static_cast<int>(scan.operands.size()); ++i) {
      if (!reached.count(step.arguments[i].value)) continue;
      operands.push_back(scan.operands[i]);
      again = (parts.is_carry(i) && wanted.insert(i).second) || again;
    }
    if (!again || steps == parts.steps) return operands;
  }
}

std::set<Value> differentiable_ancestors(const Module& module, const Graph& graph,
                                         const std::vector<Value>& ends) {
  std::set<Value> seen;
  std::map<NodeId, std::set<int>> wanted;  // results of scans
  std::vector<Value> work = ends;
  while (!work.empty()) {
    const Value v = work.back();
    work.pop_back();
    const Node& node = graph[v.node];
    if (!is_float(graph.type(v).dtype) || node.op == Op::StopGradient) continue;
    if (!seen.insert(v).second) continue;
    if (node.op == Op::Scan) wanted[v.node].insert(v.result);
    const std::vector<Value> operands =
        node.op == Op::Scan ? reached_operands(module, node, wanted[v.node]) : node.operands;
    work.insert(work.end(), operands.begin(), operands.end());
  }
  return seen;
}

bool lies_under(const std::string& name, const std::string& path) {
  return name == path ||
         (name.size() > path.size() && name.compare(0, path.size(), path) == 0 && name[path.size()] == '.');
}

std::string path_text(const ast::Path& path) {
  std::string out;
  for (const ast::Name& part : path.parts) out += (out.empty() ? "" : ".") + part.text;
  return out;
}

// The stages of `a |> b(x) |> c`, in order.
void flatten_stages(const ast::Expr& e, std::vector<const ast::Expr*>& out) {
  const auto* call = std::get_if<ast::Call>(&e.node);
  if (call && call->piped) flatten_stages(*call->arguments.front().value, out);
  out.push_back(&e);
}

}  // namespace

struct MinimizeState {
  std::string prefix;  // "fit", for a second minimize "fit.1"
  std::vector<Variable*> parameters;
  std::vector<Value> w, g;
  std::set<std::string> stage_names;
  std::string stage;                      // "fit.adam"
  size_t parameter = 0;                   // the one whose body is traced
  std::map<std::string, int> norm_calls;  // of this body: place -> how often
  std::map<std::string, GlobalNorm> norms;
  std::vector<std::string> norm_order;
};

std::vector<Variable*> Tracer::parameters_under(const std::string& path) {
  std::vector<Variable*> out;
  for (Variable& v : module_->variables)
    if (v.kind == VariableKind::Parameter && lies_under(v.name, path)) out.push_back(&v);
  return out;
}

void Tracer::no_parameters(const std::string& path, SourceRange range) {
  // Everything that lies under the longest part of the path that has parameters; all models if there is none.
  std::string known = path;
  while (!known.empty() && parameters_under(known).empty())
    known = known.find('.') == std::string::npos ? "" : known.substr(0, known.rfind('.'));
  std::set<std::string> scopes;
  for (const Variable& v : module_->variables)
    if (v.kind == VariableKind::Parameter && (known.empty() || lies_under(v.name, known)))
      scopes.insert(v.name.substr(0, v.name.find('.', known.empty() ? 0 : known.size() + 1)));
  std::string where;
  for (const std::string& scope : scopes) where += (where.empty() ? "`" : ", `") + scope + "`";
  fail(range, "there is no parameter under `" + path + "`" +
                  (where.empty() ? "; no model has any" : "; there are some under " + where));
}

std::vector<Variable*> Tracer::minimized_parameters(const ast::Minimize& n, Value loss) {
  std::set<std::string> names;
  for (const Value v : differentiable_ancestors(*module_, context_->graph(), {loss}))
    if (context_->graph()[v.node].op == Op::Variable)
      names.insert(context_->graph()[v.node].attributes.string(Attr::Symbol));
  std::vector<Variable*> all;
  for (Variable& v : module_->variables)
    if (v.kind == VariableKind::Parameter && names.count(v.name)) all.push_back(&v);
  if (all.empty()) fail(n.loss->range, "the loss depends on no parameter");
  if (n.over.empty()) return all;

  std::set<Variable*> chosen;
  for (const ast::Path& path : n.over) {
    const std::string text = path_text(path);
    const Symbol* model = symbols_.find(frame_->file(), path.parts.front().text);
    if (!model || model->kind != SymbolKind::Model) {
      std::vector<std::string> models;
      for (const Symbol* s : symbols_.user_symbols(SymbolKind::Model)) models.push_back(s->name);
      const std::string near = nearest_name(path.parts.front().text, models);
      fail(path.parts.front().range, "unknown model `" + path.parts.front().text + "`" +
                                         (near.empty() ? "" : "; did you mean `" + near + "`?"));
    }
    const auto under = parameters_under(text);
    if (under.empty()) no_parameters(text, path.range);
    const size_t before = chosen.size();
    for (Variable* v : under)
      if (names.count(v->name)) chosen.insert(v);
    if (chosen.size() == before &&
        std::none_of(under.begin(), under.end(), [&](Variable* v) { return names.count(v->name); }))
      fail(path.range, "the loss depends on no parameter under `" + text + "`");
  }
  std::erase_if(all, [&](Variable* v) { return !chosen.count(v); });
  return all;
}

void Tracer::exec_minimize(const ast::Minimize& n, SourceRange range) {
  if (frame_->function->kind != SymbolKind::Train) fail(range, "`minimize` stands in a train");
  if (context_->kind == GraphContext::Kind::Scan)
    fail(range, "`minimize` cannot stand in a `scan`: an entry trains its parameters once");
  const AbstractValue value = eval_single(*n.loss);
  if (!value.is_tensor() || value.tensor().type.rank() != 0 || !is_float(value.tensor().type.dtype))
    fail(n.loss->range, "`minimize` takes a scalar of floats, found " + value.describe());
  const Value loss = value.tensor().value;

  MinimizeState state;
  state.parameters = minimized_parameters(n, loss);
  state.prefix = context_->name + (minimize_count_ ? "." + std::to_string(minimize_count_) : "");
  for (const Variable* p : state.parameters)
    if (const auto [it, is_new] = minimized_.try_emplace(p->name, range); !is_new) {
      report(range, "`" + p->name + "` is updated by two `minimize`; restrict them with `over`")
          .note(it->second, "the other is here");
      throw Abort{};
    }
  set_location(range);
  std::vector<Value> operands{loss};
  std::vector<TensorType> types;
  for (Variable* p : state.parameters) {
    state.w.push_back(context_->variable(*p));
    operands.push_back(state.w.back());
    types.push_back(p->type);
    // Neighbours in memory have one element type.
    const bool usual = p->type.dtype == options_.float_type;
    if (p->slab.empty()) p->slab = state.prefix + (usual ? "" : "." + std::string(dtype_name(p->type.dtype)));
  }
  const NodeId gradient = context_->builder.add_multi(Op::Gradient, operands, types);
  for (size_t i = 0; i < types.size(); ++i) state.g.push_back({gradient, static_cast<int32_t>(i)});

  if (options_.gradient_entries) {
    gradient_results_.push_back({minimize_count_ ? "loss_" + std::to_string(minimize_count_) : "loss", loss});
    for (size_t i = 0; i < types.size(); ++i)
      gradient_results_.push_back({"gradient/" + state.parameters[i]->name, state.g[i]});
  }
  ++minimize_count_;
  Restore<MinimizeState*> minimizing(minimize_, &state);
  std::vector<const ast::Expr*> stages;
  flatten_stages(*n.stages, stages);
  for (const ast::Expr* stage : stages) run_stage(state, *stage);
  for (size_t i = 0; i < types.size(); ++i)
    if (state.w[i] != operands[i + 1]) context_->trained[state.parameters[i]->name] = state.w[i];
}

void Tracer::run_stage(MinimizeState& state, const ast::Expr& stage) {
  const auto* call = std::get_if<ast::Call>(&stage.node);
  const auto* name_ref = std::get_if<ast::NameRef>(&stage.node);
  if (!call && !name_ref) fail(stage.range, "after `with` stands an optimizer, or several joined by `|>`");
  const ast::Name name = call ? call->callee : ast::Name{name_ref->name, stage.range};
  const Symbol* optimizer = symbols_.find(frame_->file(), name.text, {SymbolKind::Optimizer});
  if (!optimizer) {
    std::vector<std::string> known;
    for (const Symbol& s : symbols_.all())
      if (s.kind == SymbolKind::Optimizer) known.push_back(s.name);
    const std::string near = nearest_name(name.text, known);
    const std::string found = symbols_.find(frame_->file(), name.text) || find_builtin(name.text)
                                  ? "`" + name.text + "` is not an optimizer"
                                  : "unknown optimizer `" + name.text + "`";
    fail(name.range, found + (near.empty() ? "" : "; did you mean `" + near + "`?"));
  }

  traced_.insert(optimizer);
  std::vector<CallArgument> arguments;
  std::string stage_name = name.text;
  if (call)
    for (size_t i = call->piped ? 1 : 0; i < call->arguments.size(); ++i) {
      const ast::Argument& a = call->arguments[i];
      arguments.push_back({a.name, eval_single(*a.value), a.value->range});
    }
  SourceRange call_range = stage.range;
  if (call && call->piped) call_range.begin = name.range.begin;

  Frame frame;
  frame.function = optimizer;
  frame.call = frame_->call;
  {
    Restore<Frame*> in_frame(frame_, &frame);
    bind_parameters(*optimizer, arguments, call_range);
  }
  frame.call = std::make_shared<const CallFrame>(CallFrame{call_range, optimizer->name, frame_->call});

  for (int i = 1; !state.stage_names.insert(stage_name).second; ++i)
    stage_name = name.text + "_" + std::to_string(i);
  state.stage = state.prefix + "." + stage_name;
  state.norms.clear();
  state.norm_order.clear();
  for (size_t p = 0; p < state.parameters.size(); ++p)
    run_stage_body(state, *optimizer, frame, p, call_range);

  // Now all parameters have asked: the norms take their values.
  set_location(call_range);
  for (const std::string& key : state.norm_order) {
    GlobalNorm& norm = state.norms.at(key);
    GraphBuilder& b = context_->builder;
    Value total = norm.squares.front();
    for (size_t i = 1; i < norm.squares.size(); ++i) total = b.add(total, norm.squares[i]);
    total = b.add(Op::Sqrt, {total});
    for (const auto& [dtype, placeholder] : norm.placeholders) {
      const Value value = b.cast(total, dtype);
      context_->graph().replace_all_uses(placeholder, value);
      const auto patch = [&](Value& v) { v = v == placeholder ? value : v; };
      for (Value& v : state.w) patch(v);
      for (Value& v : state.g) patch(v);
      for (auto& [variable, v] : context_->assigned) patch(v);
    }
  }
}

void Tracer::run_stage_body(MinimizeState& state, const Symbol& optimizer, const Frame& arguments,
                            size_t parameter, SourceRange) {
  state.parameter = parameter;
  state.norm_calls.clear();
  Frame frame = arguments;
  Restore<DType> scalars(float_type_, state.parameters[parameter]->type.dtype);
  // Scalars take the element type of w.
  for (auto& [name, binding] : frame.names)
    if (binding.value.is_tensor() && is_float(binding.value.tensor().type.dtype))
      binding.value = context_->tensor(context_->builder.cast(binding.value.tensor().value, float_type_));
  frame.names["w"] = {context_->tensor(state.w[parameter]), {}, {}};
  frame.names["g"] = {context_->tensor(state.g[parameter]), {}, {}};
  Restore<Frame*> in_frame(frame_, &frame);
  const Activation active(active_, optimizer);
  exec(optimizer.function().body);
  if (frame.failed) throw Abort{};
  state.w[parameter] = frame.names.at("w").value.tensor().value;
  state.g[parameter] = frame.names.at("g").value.tensor().value;
}

void Tracer::assign_optimizer_name(const ast::Name& name, const AbstractValue& v, SourceRange range) {
  set_location(range);
  const TensorValue t =
      coerce_exact(v, minimize_->parameters[minimize_->parameter]->type, range, "`" + name.text + "`", {});
  frame_->names[name.text].value = t;
}

void Tracer::declare_optimizer_state(const ast::Declaration& n, SourceRange range) {
  if (n.kind != ast::DeclKind::State) fail(range, "an optimizer has `state` alone");
  if (n.name.text == "w" || n.name.text == "g" || n.name.text == "step")
    fail(n.name.range, "`" + n.name.text + "` has a meaning of its own in an optimizer");
  const TensorType type = eval_type(n.type);
  const Variable& parameter = *minimize_->parameters[minimize_->parameter];
  const std::string stem = minimize_->stage + "." + n.name.text;
  const std::string name = stem + "/" + parameter.name;
  if (const auto it = frame_->names.find(n.name.text);
      it != frame_->names.end() && it->second.variable == name)
    fail(n.name.range, "the state `" + n.name.text + "` is there twice");
  Variable& v = declare_variable(name, VariableKind::OptimizerState, type, n, range);
  const bool usual = type.dtype == options_.float_type;
  v.slab = stem + (usual ? "" : "." + std::string(dtype_name(type.dtype)));
  frame_->names[n.name.text] = {context_->tensor(context_->current(v)), n.name.range, v.name};
}

Value Tracer::step_value() {
  const Value next = context_->builder.add(step_counter(), 1.0);
  return context_->builder.cast(next, float_type_);
}

AbstractValue Tracer::global_norm(const AbstractValue& x) {
  if (!minimize_ || !frame_) throw OpError("`global_norm` stands in an optimizer");
  const TensorType& type = minimize_->parameters[minimize_->parameter]->type;
  if (frame_->names.empty() || !x.is_tensor() || x.tensor().type.shape != type.shape)
    throw OpError(
        "`global_norm` takes a tensor shaped like `w`, which is " + type.str() + ", found " + x.describe(),
        0);
  std::string place = here_.file->path + ":" + std::to_string(here_.begin);
  place += "#" + std::to_string(minimize_->norm_calls[place]++);
  const auto [it, is_new] = minimize_->norms.try_emplace(place);
  if (is_new) minimize_->norm_order.push_back(place);
  GlobalNorm& norm = it->second;
  GraphBuilder& b = context_->builder;
  const Value v = b.cast(x.tensor().value, options_.float_type);
  std::vector<int64_t> axes(type.shape.size());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  const Value square = b.mul(v, v);
  norm.squares.push_back(axes.empty() ? square : b.reduce(Op::ReduceSum, square, axes));
  Value& placeholder = norm.placeholders[float_type_];
  if (!placeholder) placeholder = b.splat({float_type_, {}}, std::numeric_limits<double>::quiet_NaN());
  return context_->tensor(placeholder);
}

AbstractValue Tracer::gradient(const AbstractValue& loss, const AbstractValue& x) {
  if (!context_->in_entry()) throw OpError("`grad` cannot stand in an initial value");
  if (!loss.is_tensor() || loss.tensor().type.rank() != 0 || !is_float(loss.tensor().type.dtype))
    throw OpError("`grad` differentiates a scalar of floats, found " + loss.describe(), 0);
  if (!x.is_tensor() || !is_float(x.tensor().type.dtype))
    throw OpError("`grad` is with respect to a tensor of floats, found " + x.describe(), 1);
  const auto reached = differentiable_ancestors(*module_, context_->graph(), {loss.tensor().value});
  if (!reached.count(x.tensor().value))
    throw OpError("the first argument of `grad` does not depend on this one", 1);
  const NodeId node = context_->builder.add_multi(
      Op::Gradient, std::vector<Value>{loss.tensor().value, x.tensor().value}, {x.tensor().type});
  return context_->tensor({node, 0});
}

std::vector<Value> Tracer::weights_under(const AbstractValue& model, std::string_view who) {
  const std::string name = "`" + std::string(who) + "`";
  const bool is_model =
      model.is_function() && model.function().symbol && model.function().symbol->kind == SymbolKind::Model;
  if (!is_model && !model.is_string())
    throw OpError(name + " takes a model or the path of parameters, found " + model.describe(), 0);
  if (!context_->in_entry() || !context_->training())
    throw OpError(name + " belongs to a loss: it stands in a train, or in a fn that a train calls");
  const std::string path = is_model ? model.function().name() : model.string();
  const auto parameters = parameters_under(path);
  if (parameters.empty()) no_parameters(path, here_);
  std::vector<Value> out;
  for (const Variable* p : parameters)
    if (p->type.rank() >= 2) out.push_back(context_->variable(*p));
  if (out.empty()) throw OpError("no parameter under `" + path + "` is a weight, of rank 2 or more", 0);
  return out;
}

}  // namespace nncc
