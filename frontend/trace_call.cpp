// Calls: finding the callee, binding arguments, running bodies, checking results.
#include <algorithm>

#include "frontend/tracer.h"
#include "ir/print.h"

namespace nncc {

FunctionValue Tracer::resolve_callee(const ast::Name& name) {
  // A local that is not a function does not hide one: `accuracy = accuracy(p, label)`.
  if (const auto it = frame_->names.find(name.text);
      it != frame_->names.end() && it->second.value.is_function())
    return it->second.value.function();
  if (const Symbol* s = symbols_.find(frame_->file(), name.text, {SymbolKind::Fn, SymbolKind::Model}))
    return {s, nullptr};
  if (const Symbol* s = symbols_.find(frame_->file(), name.text)) {
    if (s->kind == SymbolKind::Const)
      if (const AbstractValue v = constant_value(*s); v.is_function()) return v.function();
    if (const Builtin* b = find_builtin(name.text)) return {nullptr, b};
    if (s->kind == SymbolKind::Train)
      fail(name.range, "`" + name.text + "` is a train; the host calls it, a program does not");
    if (s->kind == SymbolKind::Optimizer)
      fail(name.range, "`" + name.text + "` is an optimizer; it stands after `with` in a `minimize`");
    fail(name.range,
         "`" + name.text + "` is a " + std::string(symbol_kind_name(s->kind)) + ", not a function");
  }
  if (const Builtin* b = find_builtin(name.text)) return {nullptr, b};
  if (const auto it = frame_->names.find(name.text); it != frame_->names.end()) {
    if (it->second.value.is_poison()) throw Abort{};
    fail(name.range, "`" + name.text + "` is " + it->second.value.describe() + ", not a function");
  }
  unknown_name(name.text, name.range, "function");
}

std::vector<CallArgument> Tracer::eval_arguments(const ast::Call& call, std::string& scope_name,
                                                 const FunctionValue& callee) {
  // `name` is an ordinary argument of a function that has a parameter of this name.
  bool names_scope = true;
  if (callee.symbol)
    for (const ast::Parameter& p : callee.symbol->function().parameters) names_scope &= p.name.text != "name";
  std::vector<CallArgument> arguments;
  for (const ast::Argument& a : call.arguments) {
    CallArgument argument{a.name, {}, a.value->range};
    const auto* path = std::get_if<ast::PathRef>(&a.value->node);
    if (path && callee.builtin && (callee.name() == "l1" || callee.name() == "l2")) {
      std::string text;
      for (const ast::Name& part : path->path.parts) text += (text.empty() ? "" : ".") + part.text;
      argument.value = text;
    } else {
      argument.value = eval_single(*a.value);
    }
    if (a.name && a.name->text == "name" && names_scope) {
      if (!argument.value.is_string() || argument.value.string().empty())
        fail(argument.range, "`name` is a string, found " + argument.value.describe());
      for (const char c : argument.value.string())
        if (!isalnum(static_cast<unsigned char>(c)) && c != '_')
          fail(argument.range,
               "`name` becomes part of a path: letters, digits and `_`, found " + argument.value.describe());
      if (callee.symbol && callee.symbol->kind == SymbolKind::Model)
        fail(argument.range,
             "the parameters of the model `" + callee.name() + "` keep their paths in every call");
      scope_name = argument.value.string();
      continue;
    }
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

AbstractValue Tracer::eval_call(const ast::Expr& e, const ast::Call& n) {
  const FunctionValue callee = resolve_callee(n.callee);
  std::string scope_name = callee.name();
  auto arguments = eval_arguments(n, scope_name, callee);
  if (frame_->initializer_shape) {
    // In a declaration `zeros()` means zeros of the declared shape.
    const bool takes_shape = callee.builtin
                                 ? callee.builtin->parameters.front().name == "shape"
                                 : !callee.symbol->function().parameters.empty() &&
                                       callee.symbol->function().parameters.front().name.text == "shape";
    const bool has_shape = std::any_of(arguments.begin(), arguments.end(), [](const CallArgument& a) {
      return a.name ? a.name->text == "shape" : a.value.is_list() || a.value.is_type();
    });
    if (takes_shape && !has_shape)
      arguments.insert(arguments.begin(),
                       {std::nullopt, AbstractValue::integers(*frame_->initializer_shape), e.range});
  }
  return call(callee, std::move(arguments), e.range, scope_name);
}

AbstractValue Tracer::call(const FunctionValue& callee, std::vector<CallArgument> arguments,
                           SourceRange range, const std::string& scope_name) {
  if (callee.builtin) return call_builtin(*callee.builtin, std::move(arguments), range);
  return call_symbol(*callee.symbol, std::move(arguments), range, scope_name);
}

std::vector<int> Tracer::match_arguments(const std::string& callee,
                                         const std::vector<std::string>& parameters,
                                         const std::vector<bool>& required,
                                         const std::vector<CallArgument>& arguments, SourceRange call,
                                         SourceRange declared) {
  const auto explained = [&](SourceRange range, const std::string& message) {
    auto handle = report(range, message);
    if (declared) handle.note(declared, "`" + callee + "` is declared here");
    throw Abort{};
  };
  std::vector<int> matched(parameters.size(), -1);
  for (size_t i = 0; i < arguments.size(); ++i) {
    size_t p = i;
    if (arguments[i].name) {
      const std::string& name = arguments[i].name->text;
      p = std::find(parameters.begin(), parameters.end(), name) - parameters.begin();
      if (p == parameters.size()) {
        const std::string near = nearest_name(name, parameters);
        explained(arguments[i].name->range, "`" + callee + "` has no parameter `" + name + "`" +
                                                (near.empty() ? "" : "; did you mean `" + near + "`?"));
      }
      if (matched[p] >= 0)
        explained(arguments[i].name->range, "`" + name + "` of `" + callee + "` is given twice");
    } else if (p >= parameters.size()) {
      explained(arguments[i].range, "`" + callee + "` takes " + count_text(parameters.size(), "argument") +
                                        ", found " + std::to_string(arguments.size()));
    }
    matched[p] = static_cast<int>(i);
  }
  for (size_t p = 0; p < parameters.size(); ++p)
    if (required[p] && matched[p] < 0)
      explained(call, "`" + callee + "` needs the argument `" + parameters[p] + "`");
  return matched;
}

AbstractValue Tracer::call_builtin(const Builtin& builtin, std::vector<CallArgument> arguments,
                                   SourceRange range) {
  std::vector<std::string> names;
  std::vector<bool> required;
  for (const BuiltinParameter& p : builtin.parameters) {
    names.push_back(p.name);
    required.push_back(p.required);
  }
  const auto matched = match_arguments(builtin.name, names, required, arguments, range, {});
  if (!context_) {  // in a const
    if (!builtin.pure) fail(range, "`" + builtin.name + "` does not give a constant");
    for (const CallArgument& a : arguments)
      if (!a.value.is_constant())
        fail(a.range, "a const is built from constants, found " + a.value.describe());
  }
  set_location(range);
  Graph scratch;
  GraphContext no_graph(GraphContext::Kind::Composite, EntryKind::Model, "const", scratch);
  BuiltinCall call{*this, context_ ? *context_ : no_graph, float_type_, builtin, {}, {}};
  for (size_t p = 0; p < names.size(); ++p) {
    call.values.push_back(matched[p] >= 0 ? arguments[matched[p]].value
                                          : builtin.parameters[p].default_value);
    call.ranges.push_back(matched[p] >= 0 ? arguments[matched[p]].range : SourceRange{});
  }
  try {
    AbstractValue result = builtin.run(call);
    if (!context_ && !result.is_constant())
      fail(range, "`" + builtin.name + "` does not give a constant here");
    return result;
  } catch (const OpError& error) {
    const bool known = error.argument >= 0 && call.ranges[error.argument];
    fail(known ? call.ranges[error.argument] : range, error);
  }
}

void Tracer::check_recursion(const Symbol& symbol, SourceRange range) {
  constexpr size_t kDeepest = 200;
  if (active_.size() >= kDeepest)
    fail(range, "calls are nested more than " + std::to_string(kDeepest) + " deep");
  const auto it = std::find(active_.begin(), active_.end(), &symbol);
  if (it == active_.end()) return;
  std::string chain;
  for (auto i = it; i != active_.end(); ++i) chain += "`" + (*i)->name + "` calls ";
  auto handle = report(range, "recursion: " + chain + "`" + symbol.name + "`");
  handle.note(symbol.name_range(), "`" + symbol.name + "` is declared here");
  throw Abort{};
}

AbstractValue Tracer::call_symbol(const Symbol& symbol, std::vector<CallArgument> arguments,
                                  SourceRange range, const std::string& scope_name) {
  if (symbol.kind != SymbolKind::Fn && symbol.kind != SymbolKind::Model)
    fail(range,
         "`" + symbol.name + "` is a " + std::string(symbol_kind_name(symbol.kind)) + ", not a function");
  const bool is_model = symbol.kind == SymbolKind::Model;
  if (is_model && !context_) fail(range, "a const cannot depend on the model `" + symbol.name + "`");
  if (is_model && !context_->in_entry())
    fail(range, "an initial value cannot depend on the model `" + symbol.name + "`");
  check_recursion(symbol, range);
  traced_.insert(&symbol);

  Frame frame;
  frame.function = &symbol;
  // A model's parameters have the same paths wherever it is called.
  PathScope scope =
      is_model || !frame_->scope ? PathScope(symbol.name, true) : PathScope(frame_->scope, scope_name);
  if (is_model || frame_->scope) frame.scope = &scope;
  frame.call = std::make_shared<const CallFrame>(CallFrame{range, symbol.name, frame_->call});

  Frame* const caller = frame_;
  const auto caller_call = caller->call;
  // Arguments are the caller's: what is wrong with them is reported without the callee's frame.
  const auto callee_call = frame.call;
  frame.call = caller_call;
  Restore<Frame*> in_frame(frame_, &frame);
  bind_parameters(symbol, arguments, range);
  frame.call = callee_call;

  const Activation active(active_, symbol);
  const AbstractValue result = can_keep(symbol, frame) ? call_kept(symbol, frame, range) : run_body(frame);
  if (result.is_poison()) throw Abort{};
  return result;
}

void Tracer::bind_parameters(const Symbol& symbol, const std::vector<CallArgument>& arguments,
                             SourceRange call) {
  const ast::Function& function = symbol.function();
  std::vector<std::string> names;
  std::vector<bool> required;
  for (const ast::Parameter& p : function.parameters) {
    names.push_back(p.name.text);
    required.push_back(!p.default_value);
  }
  const auto matched = match_arguments(symbol.name, names, required, arguments, call, symbol.name_range());
  const auto describe = [&](size_t p) { return "`" + names[p] + "` of `" + symbol.name + "`"; };
  const auto is_tensor_type = [](const ast::Parameter& p) {
    return p.type && p.type->kind == ast::TypeExpr::Kind::Tensor;
  };

  // Constants first, so that extents named like one have to equal it.
  for (const bool tensors : {false, true}) {
    for (size_t p = 0; p < names.size(); ++p) {
      const ast::Parameter& parameter = function.parameters[p];
      if (matched[p] < 0 || is_tensor_type(parameter) != tensors) continue;
      const CallArgument& argument = arguments[matched[p]];
      AbstractValue v = argument.value;
      if (parameter.type && parameter.type->kind != ast::TypeExpr::Kind::Like)
        v = coerce(*parameter.type, v, argument.range, describe(p), parameter.name.range);
      frame_->names[names[p]] = {v, argument.range, {}};
    }
  }
  for (size_t p = 0; p < names.size(); ++p) {
    const ast::Parameter& parameter = function.parameters[p];
    if (matched[p] >= 0) {
      const CallArgument& argument = arguments[matched[p]];
      const AbstractValue& v = frame_->names[names[p]].value;
      if (is_tensor_type(parameter) && v.is_tensor())
        check_computed_extents(*parameter.type, v.tensor().type, argument.range, describe(p));
      if (parameter.type && parameter.type->kind == ast::TypeExpr::Kind::Like)
        coerce(*parameter.type, v, argument.range, describe(p), parameter.name.range);
      continue;
    }
    AbstractValue v = eval_single(*parameter.default_value);
    if (parameter.type)
      v = coerce(*parameter.type, v, parameter.default_value->range, describe(p), parameter.name.range);
    const auto bound = frame_->names.find(names[p]);
    if (bound != frame_->names.end() && !(bound->second.value == v))
      fail(call, describe(p) + " is " + v.text() + " by default, but the extent of this name is " +
                     bound->second.value.text());
    frame_->names[names[p]] = {v, parameter.name.range, {}};
  }
}

AbstractValue Tracer::run_body(Frame& frame) {
  Restore<Frame*> in_frame(frame_, &frame);
  exec(frame.function->function().body);
  if (!frame.returned)
    return frame.function->function().returns.empty() ? AbstractValue()
                                                      : check_results(*frame.function, {}, {});
  if (frame.result.is_poison()) return frame.result;
  return check_results(*frame.function, frame.result, frame.return_range);
}

AbstractValue Tracer::check_results(const Symbol& symbol, AbstractValue result, SourceRange range) {
  const ast::Function& function = symbol.function();
  if (function.returns.empty()) return result;
  std::vector<AbstractValue> values;
  if (result.is_results())
    values = result.result_values();
  else if (!result.is_nothing())
    values = {result};
  if (values.size() != function.returns.size()) {
    SourceRange declared = function.returns.front().type.range;
    declared.end = function.returns.back().type.range.end;
    auto handle = report(range ? range : symbol.name_range(),
                         "`" + symbol.name + "` returns " + count_text(values.size(), "value") +
                             ", declared are " + std::to_string(function.returns.size()));
    handle.note(declared, "they are declared here");
    throw Abort{};
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const ast::ReturnType& declared = function.returns[i];
    const std::string what = declared.name
                                 ? "the result `" + declared.name->text + "` of `" + symbol.name + "`"
                                 : "the result of `" + symbol.name + "`";
    values[i] = coerce(declared.type, values[i], range, what, declared.type.range);
    if (declared.type.kind == ast::TypeExpr::Kind::Tensor && values[i].is_tensor())
      check_computed_extents(declared.type, values[i].tensor().type, range, what);
  }
  return values.size() == 1 ? values[0] : AbstractValue::results(std::move(values));
}

bool Tracer::can_keep(const Symbol& symbol, const Frame& frame) {
  if (!context_ || !symbol.is_library() || !options_.kept_calls.count(symbol.name) ||
      context_->root().kind == GraphContext::Kind::Init)
    return false;
  bool has_tensor = false;
  for (const ast::Parameter& p : symbol.function().parameters) {
    const AbstractValue& v = frame.names.at(p.name.text).value;
    if (v.is_tensor())
      has_tensor = true;
    else if (!v.is_constant())
      return false;
    if (v.is_function() && v.function().symbol && !purity_.is_pure(*v.function().symbol)) return false;
    if (v.is_function() && v.function().builtin && !v.function().builtin->pure) return false;
  }
  return has_tensor && purity_.is_pure(symbol);
}

// Returns its name, or that of a function that is the same: constants that make no difference make no second
// one.
std::string Tracer::add_composite(Function function) {
  const std::string text = canonical_text(function.body);
  for (const Function& f : module_->functions)
    if (f.callee == function.callee && canonical_text(f.body) == text) return f.name;
  module_->functions.push_back(std::move(function));
  return module_->functions.back().name;
}

AbstractValue Tracer::call_kept(const Symbol& symbol, Frame& frame, SourceRange range) {
  std::string key =
      symbol.name + (context_->training() ? " training" : "") + " " + std::string(dtype_name(float_type_));
  std::vector<Value> operands;
  std::vector<std::pair<std::string, TensorType>> tensors;
  for (const ast::Parameter& p : symbol.function().parameters) {
    const AbstractValue& v = frame.names.at(p.name.text).value;
    key += "; " + p.name.text + " = " + (v.is_constant() ? v.text() : "%" + v.tensor().type.str());
    if (!v.is_tensor()) continue;
    operands.push_back(v.tensor().value);
    tensors.emplace_back(p.name.text, v.tensor().type);
  }
  const auto known = kept_.find(key);
  if (known == kept_.end()) {
    Function function;
    function.name = module_->unique_function_name(symbol.name);
    function.callee = symbol.name;
    GraphContext body(GraphContext::Kind::Composite, context_->entry, symbol.name, function.body);
    Frame inner = frame;
    for (const auto& [name, type] : tensors)
      inner.names[name].value = body.tensor(function.body.add_argument(name, type));
    AbstractValue result;
    {
      Restore<GraphContext*> in_body(context_, &body);
      result = run_body(inner);
      if (result.is_poison()) return result;
      std::vector<AbstractValue> results{result};
      if (result.is_results()) results = result.result_values();
      for (size_t i = 0; i < results.size(); ++i) {
        results[i] = at(range, [&] { return to_tensor(body, results[i], float_type_); });
        const std::string name = results.size() == 1 ? "result" : "result_" + std::to_string(i);
        function.body.results.push_back({name, results[i].tensor().value});
      }
    }
    function.body.erase_dead();
    kept_[key] = add_composite(std::move(function));
  }
  const Function& function = *module_->find_function(kept_.at(key));
  std::vector<TensorType> types;
  for (const Graph::Result& r : function.body.results) types.push_back(function.body.type(r.value));
  set_location(range);
  const NodeId node = context_->builder.add_multi(Op::Call, operands, types, {{Attr::Symbol, function.name}});
  std::vector<AbstractValue> results;
  for (size_t i = 0; i < types.size(); ++i)
    results.push_back(context_->tensor({node, static_cast<int32_t>(i)}));
  return results.size() == 1 ? results[0] : AbstractValue::results(std::move(results));
}

}  // namespace nncc
