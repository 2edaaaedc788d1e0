// The program as a whole: constants and their overrides, hypers, messages, and the order in which entries are
// traced.
#include "frontend/name_check.h"
#include "frontend/trace_constants.h"
#include "frontend/tracer.h"
#include "ir/verify.h"

namespace nncc {

std::unique_ptr<Module> trace_program(const ast::Program& program, const TraceOptions& options,
                                      Diagnostics& diags) {
  return Tracer(program, options, diags).run();
}

Tracer::Tracer(const ast::Program& program, const TraceOptions& options, Diagnostics& diags)
    : program_(program),
      options_(options),
      diags_(diags),
      symbols_(program, diags),
      purity_(symbols_),
      module_(std::make_unique<Module>()),
      float_type_(options.float_type) {}

std::unique_ptr<Module> Tracer::run() {
  const auto models = symbols_.user_symbols(SymbolKind::Model);
  const auto trains = symbols_.user_symbols(SymbolKind::Train);
  check_declarations();
  const int before = diags_.error_count();
  check_overrides();
  if (diags_.error_count() != before) return nullptr;  // what they meant to change would not fit
  evaluate_constants();
  if (models.empty() && trains.empty()) {
    if (!diags_.has_errors()) {
      const SourceFile* file = program_.files.back()->source;
      report({file, 0, 0}, "there is nothing to compile: the program has no `model` and no `train`");
    }
    return nullptr;
  }
  add_variable("seed", {DType::I64, {}}, VariableKind::Seed);
  declare_hypers();

  Graph init_graph;
  GraphContext init(GraphContext::Kind::Init, EntryKind::Init, "init", init_graph);
  init_ = &init;
  // Models first: `over`, l1 and l2 need to know all parameters.
  for (const Symbol* s : models) trace_entry(*s);
  for (const Symbol* s : trains) trace_entry(*s);
  for (const SymbolKind kind : {SymbolKind::Fn, SymbolKind::Optimizer})
    for (const Symbol* s : symbols_.user_symbols(kind))
      if (!traced_.count(s)) check_names(*s, symbols_, diags_);
  if (diags_.has_errors()) return nullptr;

  Entry& entry = module_->entries.emplace_back();
  entry.name = "init";
  entry.kind = EntryKind::Init;
  entry.graph = std::move(init_graph);
  finish_init(entry);
  return std::move(module_);
}

void Tracer::set_location(SourceRange range) {
  here_ = range;
  if (context_) context_->builder.location = {range, frame_ ? frame_->call : nullptr};
}

bool Tracer::is_new_message(SourceRange range, const std::string& message) {
  const std::string place = range ? range.file->path + ":" + std::to_string(range.begin) : "";
  return reported_.insert(place + " " + message).second;
}

// What goes wrong inside the library is shown at the call in the user's text; the way into the library
// follows as notes.
Diagnostics::Handle Tracer::report(SourceRange range, const std::string& message) {
  std::shared_ptr<const CallFrame> frame = frame_ ? frame_->call : nullptr;
  std::vector<std::pair<SourceRange, std::string>> inside;  // innermost first
  while (range && range.file->is_library && frame) {
    inside.emplace_back(range, "here, in `" + frame->callee + "`");
    range = frame->call;
    frame = frame->caller;
  }
  // One text is traced once for each call of it; one report is enough.
  if (!is_new_message(range, message)) throw Abort{};
  auto handle = diags_.error(range, message);
  for (auto& [place, text] : inside) handle.note(place, text);
  handle.call_stack({range, frame});
  return handle;
}

void Tracer::fail(SourceRange range, const std::string& message) {
  report(range, message);
  throw Abort{};
}

void Tracer::fail(SourceRange range, const OpError& error) {
  auto handle = report(range, error.message);
  for (const auto& [place, text] : error.notes) handle.note(place, text);
  throw Abort{};
}

void Tracer::fail_in_user_text(const std::string& message) {
  SourceRange range = here_;
  std::shared_ptr<const CallFrame> frame = frame_->call;
  while (range.file->is_library && frame) {
    range = frame->call;
    frame = frame->caller;
  }
  if (is_new_message(range, message)) diags_.error(range, message).call_stack({range, frame});
  throw Abort{};
}

void Tracer::check_overrides() {
  for (const auto& [name, text] : options_.constants) {
    const auto consts = symbols_.user_symbols(SymbolKind::Const);
    std::vector<std::string> names;
    bool found = false;
    for (const Symbol* s : consts) {
      names.push_back(s->name);
      found |= s->name == name;
    }
    if (found) continue;
    std::string message = "--set " + name + "=" + text + ": the program has no const `" + name + "`";
    const std::string near = nearest_name(name, names);
    if (!near.empty()) message += "; did you mean `" + near + "`?";
    diags_.error(message);
  }
}

void Tracer::evaluate_constants() {
  for (const Symbol& s : symbols_.all()) {
    if (s.kind != SymbolKind::Const) continue;
    try {
      constant_value(s);
    } catch (Abort) {
    }
  }
}

AbstractValue Tracer::constant_value(const Symbol& symbol) {
  if (const auto it = constants_.find(&symbol); it != constants_.end()) {
    if (it->second.is_poison()) throw Abort{};
    return it->second;
  }
  if (!constants_in_progress_.insert(&symbol).second)
    fail(symbol.name_range(), "the const `" + symbol.name + "` is defined by itself");
  constants_[&symbol];
  constants_.erase(&symbol);
  AbstractValue value = AbstractValue::poison();
  try {
    Frame frame;
    frame.function = &symbol;
    Restore<Frame*> in_frame(frame_, &frame);
    Restore<GraphContext*> no_graph(context_, nullptr);
    const ast::Expr& written = *std::get<ast::Const>(symbol.item->node).value;
    value = eval_single(written);
    if (!value.is_constant())
      fail(written.range, "the const `" + symbol.name + "` is not known at compile time");
    if (!symbol.is_library())
      if (auto set = override_of(symbol, value)) value = *set;
  } catch (Abort) {
    constants_[&symbol] = AbstractValue::poison();
    throw;
  }
  constants_[&symbol] = value;
  return value;
}

std::optional<AbstractValue> Tracer::override_of(const Symbol& symbol, const AbstractValue& written) {
  const auto it = options_.constants.find(symbol.name);
  if (it == options_.constants.end()) return std::nullopt;
  if (auto value = parse_constant(it->second, written)) return value;
  diags_
      .error("--set " + symbol.name + "=" + it->second + ": `" + symbol.name + "` takes " +
             kind_of_constant(written))
      .note(symbol.name_range(), "the const is " + written.describe());
  throw Abort{};
}

Variable& Tracer::add_variable(std::string name, TensorType type, VariableKind kind) {
  Variable& v = module_->variables.emplace_back();
  v.name = std::move(name);
  v.type = std::move(type);
  v.kind = kind;
  return v;
}

void Tracer::declare_hypers() {
  for (const Symbol* s : symbols_.user_symbols(SymbolKind::Hyper)) {
    try {
      const auto& hyper = std::get<ast::Hyper>(s->item->node);
      Frame frame;
      frame.function = s;
      Restore<Frame*> in_frame(frame_, &frame);
      const AbstractValue value = eval_single(*hyper.value);
      TensorType type{value.is_bool() ? DType::Bool : float_type_, {}};
      if (hyper.type) type = eval_type(*hyper.type);
      if (type.rank() != 0) fail(hyper.type->range, "a hyper is a scalar, found " + type.str());
      if (s->name == "seed") fail(hyper.name.range, "`seed` is the name of the session's seed");
      if (!value.is_scalar_constant() || value.is_bool() != (type.dtype == DType::Bool) ||
          (value.is_float() && !is_float(type.dtype)))
        fail(hyper.value->range,
             "the hyper `" + s->name + "` is " + type.str() + ", found " + value.describe());
      Variable& v = add_variable(s->name, type, VariableKind::Hyper);
      v.initial = value.is_int() ? Literal::splat_int(type, value.integer())
                                 : Literal::splat(type, value.is_bool() ? value.boolean() : value.real());
      if (value.is_int() && is_float(type.dtype)) v.initial = Literal::splat(type, value.real());
      v.location.range = hyper.name.range;
    } catch (Abort) {
    }
  }
}

}  // namespace nncc
