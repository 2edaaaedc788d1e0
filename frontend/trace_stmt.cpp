// Statements.
#include "frontend/tracer.h"

namespace nncc {

namespace {

constexpr int64_t kMostIterations = 1'000'000;

VariableKind variable_kind(ast::DeclKind kind) {
  switch (kind) {
    case ast::DeclKind::Param:
      return VariableKind::Parameter;
    case ast::DeclKind::State:
      return VariableKind::State;
    case ast::DeclKind::Memory:
      return VariableKind::Memory;
  }
  NNCC_UNREACHABLE("unknown kind of declaration");
}

std::string_view spelling(ast::DeclKind kind) {
  switch (kind) {
    case ast::DeclKind::Param:
      return "param";
    case ast::DeclKind::State:
      return "state";
    case ast::DeclKind::Memory:
      return "memory";
  }
  NNCC_UNREACHABLE("unknown kind of declaration");
}

}  // namespace

void Tracer::exec(const ast::Block& block) {
  for (const auto& statement : block.statements) {
    if (frame_->returned) return;
    exec(*statement);
  }
}

void Tracer::exec(const ast::Statement& s) {
  try {
    std::visit(ast::Overloaded{
                   [&](const ast::Assign& n) { exec_assign(n, s.range); },
                   [&](const ast::Declaration& n) { exec_declaration(n, s.range); },
                   [&](const ast::If& n) { exec_if(n); },
                   [&](const ast::For& n) { exec_for(n); },
                   [&](const ast::Return& n) { exec_return(n, s.range); },
                   [&](const ast::Yield& n) { exec_yield(n, s.range); },
                   [&](const ast::Minimize& n) { exec_minimize(n, s.range); },
                   [&](const ast::ExprStatement& n) { eval(*n.value); },
               },
               s.node);
  } catch (Abort) {
    frame_->failed = true;
    // What follows in a function of the library is no news to the user.
    if (frame_->file().source->is_library) throw;
    poison_targets(s);
  }
}

void Tracer::poison_targets(const ast::Block& block) {
  for (const auto& s : block.statements) poison_targets(*s);
}

void Tracer::poison_targets(const ast::Statement& s) {
  const auto poison = [&](const ast::Name& name) {
    Binding& b = frame_->names[name.text];
    if (b.variable.empty()) b = {AbstractValue::poison(), name.range, {}};
  };
  std::visit(ast::Overloaded{
                 [&](const ast::Assign& n) {
                   for (const ast::Name& name : n.targets) poison(name);
                   if (const auto* scan = std::get_if<ast::ScanExpr>(&n.value->node))
                     for (const auto& carried : scan->carry) poison(carried.first);
                 },
                 [&](const ast::Declaration& n) { poison(n.name); },
                 [&](const ast::If& n) {
                   poison_targets(n.then_block);
                   if (n.else_block) poison_targets(*n.else_block);
                 },
                 [&](const ast::For& n) {
                   poison(n.name);
                   poison_targets(n.body);
                 },
                 [&](const ast::Return&) {
                   if (frame_->yields) return;  // it does not leave a step
                   frame_->returned = true;
                   frame_->result = AbstractValue::poison();
                 },
                 [](const auto&) {},
             },
             s.node);
}

void Tracer::exec_assign(const ast::Assign& n, SourceRange range) {
  const AbstractValue v = eval(*n.value);
  if (n.targets.size() == 1) {
    if (v.is_results())
      fail(range, "expected one value for `" + n.targets[0].text + "`, found " +
                      count_text(v.result_values().size(), "result"));
    if (v.is_nothing()) fail_without_value(*n.value);
    assign(n.targets[0], v, n.value->range);
    return;
  }
  if (!v.is_results() && !v.is_list())
    fail(n.value->range, "expected " + count_text(n.targets.size(), "value") + ", found " + v.describe());
  const auto& values = v.is_results() ? v.result_values() : v.elements();
  if (values.size() != n.targets.size())
    fail(range,
         "expected " + count_text(n.targets.size(), "value") + ", found " + std::to_string(values.size()));
  for (size_t i = 0; i < values.size(); ++i) assign(n.targets[i], values[i], n.value->range);
}

void Tracer::name_value(const std::string& name, const AbstractValue& v) {
  if (!v.is_tensor() || v.tensor().context != context_ || frame_->file().source->is_library) return;
  const NodeId node = v.tensor().value.node;
  if (context_->graph()[node].name.empty()) context_->graph().set_name(node, name);
}

void Tracer::assign(const ast::Name& name, const AbstractValue& v, SourceRange range) {
  name_value(name.text, v);
  if (minimize_ && frame_->function->kind == SymbolKind::Optimizer &&
      (name.text == "w" || name.text == "g")) {
    assign_optimizer_name(name, v, range);
    return;
  }
  const auto it = frame_->names.find(name.text);
  if (it != frame_->names.end() && !it->second.variable.empty()) {
    assign_state(it->second, name, v, range);
    return;
  }
  frame_->names[name.text] = {v, name.range, {}};
}

void Tracer::assign_state(Binding& binding, const ast::Name& name, const AbstractValue& v,
                          SourceRange range) {
  const Variable& variable = *module_->find_variable(binding.variable);
  set_location(range);
  const TensorValue t =
      coerce_exact(v, variable.type, range,
                   "the " + std::string(variable_kind_name(variable.kind)) + " `" + name.text + "`",
                   variable.location.range);
  if (variable.kind == VariableKind::State && !context_->training())
    return;  // goes on meaning the saved value
  if (context_->kind == GraphContext::Kind::Scan)
    fail(range, "the " + std::string(variable_kind_name(variable.kind)) + " `" + name.text +
                    "` cannot be assigned in a `scan`: carry the value, and assign it after the loop");
  context_->assigned[variable.name] = t.value;
}

void Tracer::fail_parameter_in_train(const ast::Declaration& n) {
  SourceRange range = n.name.range;
  std::string message = "a `param` stands in a fn or a model: parameters belong to models, not to a train";
  const CallFrame* call = frame_->call.get();
  if (call) {
    while (call->caller) call = call->caller.get();
    range = call->call;
    message = "`" + call->callee + "` makes the parameter `" + n.name.text +
              "`, and parameters belong to models: call it in a model";
  }
  if (is_new_message(range, message)) {
    auto handle = diags_.error(range, message);
    if (call) handle.note(n.name.range, "the parameter is declared here");
  }
  throw Abort{};
}

void Tracer::exec_declaration(const ast::Declaration& n, SourceRange range) {
  if (frame_->function->kind == SymbolKind::Optimizer) {
    declare_optimizer_state(n, range);
    return;
  }
  const std::string kind(spelling(n.kind));
  if (!frame_->scope || !context_->in_entry())
    fail(range, "a `" + kind + "` cannot stand here: it belongs to a model, or to a fn that a model calls");
  if (n.kind == ast::DeclKind::Param && !frame_->scope->allows_parameters) fail_parameter_in_train(n);
  const TensorType type = eval_type(n.type);
  if (n.kind == ast::DeclKind::Param && !is_float(type.dtype))
    fail(n.type.range, "a `param` is trained, so it holds floats; found " + type.str());
  std::string path = frame_->scope->claim(n.name.text);
  while (const Variable* v = module_->find_variable(path)) {
    if (v->kind != VariableKind::Counter) break;
    path = frame_->scope->claim(n.name.text);
  }
  Variable& variable = declare_variable(path, variable_kind(n.kind), type, n, range);
  set_location(range);
  // A parameter is what it was at the start, also after a `minimize`.
  const AbstractValue value = context_->tensor(context_->current(variable));
  frame_->names[n.name.text] = {value, n.name.range, n.kind == ast::DeclKind::Param ? "" : variable.name};
}

Variable& Tracer::declare_variable(const std::string& path, VariableKind kind, const TensorType& type,
                                   const ast::Declaration& n, SourceRange range) {
  if (Variable* known = module_->find_variable(path)) {
    if (known->kind == kind && known->type == type) return *known;
    auto handle =
        report(range, "`" + path + "` is a " + std::string(variable_kind_name(kind)) + " " + type.str() +
                          " here, but a " + std::string(variable_kind_name(known->kind)) + " " +
                          known->type.str() + " in another call");
    handle.note(known->location.range, "the other is declared here");
    throw Abort{};
  }
  Variable& variable = add_variable(path, type, kind);
  variable.location = {range, frame_->call};
  initialize(variable, *n.initializer);
  return variable;
}

void Tracer::initialize(const Variable& variable, const ast::Expr& initializer) {
  const auto location = context_->builder.location;
  {
    Restore<GraphContext*> in_init(context_, init_);
    Restore<std::optional<Shape>> shape(frame_->initializer_shape, variable.type.shape);
    const AbstractValue v = eval_single(initializer);
    set_location(initializer.range);
    TensorValue t;
    if (v.is_tensor()) {
      t = v.tensor();
      const bool numbers = t.type.dtype != DType::Bool && variable.type.dtype != DType::Bool;
      if (numbers && t.type.dtype != variable.type.dtype)
        t = init_->tensor(init_->builder.cast(t.value, variable.type.dtype));
      t = coerce_exact(t, variable.type, initializer.range, "the initial value of `" + variable.name + "`",
                       variable.location.range);
    } else {
      t = coerce_exact(v, variable.type, initializer.range, "the initial value of `" + variable.name + "`",
                       variable.location.range);
    }
    init_->assigned[variable.name] = t.value;
  }
  context_->builder.location = location;
}

void Tracer::exec_if(const ast::If& n) {
  if (eval_condition(*n.condition)) {
    exec(n.then_block);
  } else if (n.else_block) {
    exec(*n.else_block);
  }
}

void Tracer::exec_for(const ast::For& n) {
  std::vector<AbstractValue> values;
  const auto count_iterations = [&](int64_t count) {
    unrolled_ += count;
    if (count > kMostIterations || unrolled_ > kMostIterations)
      fail(n.first->range,
           "loops are unrolled, and this one makes more than " + std::to_string(kMostIterations) + " copies");
  };
  if (n.limit) {
    const int64_t first = eval_int(*n.first, "the start of a range"),
                  limit = eval_int(*n.limit, "the end of a range");
    int64_t count = 0;
    if (__builtin_sub_overflow(limit, first, &count)) count = limit > first ? kMostIterations + 1 : 0;
    if (count > 0) count_iterations(count);
    for (int64_t i = 0; i < count; ++i) values.push_back(first + i);
  } else {
    const AbstractValue list = eval_single(*n.first);
    if (!list.is_list()) fail(n.first->range, "`for` goes over a range or a list, found " + list.describe());
    values = list.elements();
    count_iterations(static_cast<int64_t>(values.size()));
  }
  for (const AbstractValue& v : values) {
    frame_->names[n.name.text] = {v, n.name.range, {}};
    exec(n.body);
    if (frame_->returned) return;
  }
}

void Tracer::exec_return(const ast::Return& n, SourceRange range) {
  if (frame_->function->kind == SymbolKind::Optimizer)
    fail(range, "an optimizer returns nothing; it assigns `w`, `g` and its states");
  if (frame_->yields) fail(range, "a `scan` cannot be left by `return`; a step gives its results by `yield`");
  std::vector<AbstractValue> values;
  if (n.values.size() == 1) {
    values.push_back(eval(*n.values[0]));
  } else {
    for (const auto& e : n.values) values.push_back(eval_single(*e));
  }
  frame_->returned = true;
  frame_->return_range = n.values.empty() ? range : n.values.front()->range;
  if (!n.values.empty()) frame_->return_range.end = n.values.back()->range.end;
  frame_->result = values.empty()       ? AbstractValue()
                   : values.size() == 1 ? values[0]
                                        : AbstractValue::results(std::move(values));
}

}  // namespace nncc
