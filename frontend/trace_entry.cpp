// Entries: models, trains and `init`; the counters of steps and what is drawn at random.
#include <algorithm>

#include "frontend/tracer.h"

namespace nncc {

void Tracer::check_declarations() {
  for (const Symbol& s : symbols_.all()) {
    if (s.kind == SymbolKind::Const || s.kind == SymbolKind::Hyper) continue;
    const ast::Function& function = s.function();
    std::map<std::string, SourceRange> names, results;
    const auto check = [&](std::map<std::string, SourceRange>& seen, const ast::Name& name,
                           const std::string& kind) {
      const auto [it, is_new] = seen.try_emplace(name.text, name.range);
      if (!is_new)
        diags_.error(name.range, "the " + kind + " `" + name.text + "` is there twice")
            .note(it->second, "the first is here");
    };
    for (const ast::Parameter& p : function.parameters) check(names, p.name, "parameter");
    for (const ast::ReturnType& r : function.returns)
      if (r.name) check(results, *r.name, "result");
    if ((s.kind == SymbolKind::Model || s.kind == SymbolKind::Train) && s.name == "init")
      diags_.error(s.name_range(), "`init` is the name of the entry that makes the initial values");
    if (s.kind == SymbolKind::Optimizer)
      for (const ast::Parameter& p : function.parameters)
        if (p.name.text == "w" || p.name.text == "g" || p.name.text == "step")
          diags_.error(p.name.range, "`" + p.name.text + "` has a meaning of its own in an optimizer");
  }
}

void Tracer::trace_entry(const Symbol& symbol) {
  Entry& entry = module_->entries.emplace_back();
  entry.name = symbol.name;
  entry.kind = symbol.kind == SymbolKind::Train ? EntryKind::Train : EntryKind::Model;
  GraphContext context(GraphContext::Kind::Entry, entry.kind, symbol.name, entry.graph);
  Frame frame;
  frame.function = &symbol;
  PathScope scope(symbol.name, entry.kind == EntryKind::Model);
  frame.scope = &scope;
  Restore<GraphContext*> in_graph(context_, &context);
  Restore<Frame*> in_frame(frame_, &frame);
  minimize_count_ = 0;
  minimized_.clear();
  gradient_results_.clear();
  active_.assign(1, &symbol);
  try {
    bind_inputs(symbol, entry);
    const AbstractValue result = run_body(frame);
    if (!result.is_poison()) set_results(symbol, entry, result, frame.return_range);
    finish_entry(entry);
    if (options_.loss_entries && entry.kind == EntryKind::Train) add_loss_entry(entry);
  } catch (Abort) {
  }
  active_.clear();
}

void Tracer::add_loss_entry(const Entry& entry) {
  Entry& losses = module_->entries.emplace_back(entry);
  losses.name += kLossesSuffix;
  std::erase_if(losses.graph.results, [](const Graph::Result& r) { return r.name.starts_with("gradient/"); });
  losses.graph.erase_dead();
  losses.graph.compact();
}

void Tracer::bind_inputs(const Symbol& symbol, Entry& entry) {
  const ast::Function& function = symbol.function();
  const std::string kind(symbol_kind_name(symbol.kind));
  for (const ast::Parameter& p : function.parameters) {
    try {
      using Kind = ast::TypeExpr::Kind;
      const bool is_tensor = p.type && (p.type->kind == Kind::Tensor || p.type->kind == Kind::Like ||
                                        (p.type->kind == Kind::Bool && !p.default_value));
      if (!is_tensor) {
        if (!p.default_value)
          fail(p.name.range,
               "the input `" + p.name.text + "` of a " + kind + " is a tensor, or has a default");
        AbstractValue v = eval_single(*p.default_value);
        if (p.type) v = coerce(*p.type, v, p.default_value->range, "`" + p.name.text + "`", p.name.range);
        frame_->names[p.name.text] = {v, p.name.range, {}};
        continue;
      }
      for (const ast::Dim& dim : p.type->dims) {
        const auto* name =
            dim.kind == ast::Dim::Kind::Extent ? std::get_if<ast::NameRef>(&dim.extent->node) : nullptr;
        const bool known = dim.kind == ast::Dim::Kind::Extent && (!name || lookup(name->name, dim.range));
        if (!known)
          fail(dim.range, "the extents of the inputs of a " + kind + " are known at compile time" +
                              (name ? ": there is no const `" + name->name + "`" : ""));
      }
      const TensorType type = eval_type(*p.type);
      const Value v = entry.graph.add_argument(p.name.text, type, {p.name.range, nullptr});
      frame_->names[p.name.text] = {context_->tensor(v), p.name.range, {}};
    } catch (Abort) {
      frame_->names[p.name.text] = {AbstractValue::poison(), p.name.range, {}};
    }
  }
}

void Tracer::set_results(const Symbol& symbol, Entry& entry, const AbstractValue& result, SourceRange range) {
  const ast::Function& function = symbol.function();
  std::vector<AbstractValue> values;
  if (result.is_results())
    values = result.result_values();
  else if (!result.is_nothing())
    values = {result};
  if (values.empty() && symbol.kind == SymbolKind::Model)
    fail(symbol.name_range(), "the model `" + symbol.name + "` returns nothing");
  if (options_.gradient_entries && symbol.kind == SymbolKind::Train) {
    entry.graph.results = gradient_results_;
    return;
  }
  set_location(range);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].is_tensor() && !values[i].is_scalar_constant())
      fail(range, "a " + std::string(symbol_kind_name(symbol.kind)) + " returns tensors, found " +
                      values[i].describe());
    const bool declared = !function.returns.empty();
    TensorValue t;
    if (!values[i].is_tensor() && declared) {
      // coerce() let the constant pass: it is a scalar of this type.
      t = at(range, [&] { return make_splat(*context_, values[i], eval_type(function.returns[i].type)); });
    } else {
      t = at(range, [&] { return to_tensor(*context_, values[i], float_type_); });
    }
    std::string name = values.size() == 1 ? "result" : "result_" + std::to_string(i);
    if (declared && function.returns[i].name) name = function.returns[i].name->text;
    entry.graph.results.push_back({name, t.value});
  }
}

void Tracer::finish_entry(Entry& entry) {
  const bool updates = !options_.gradient_entries || entry.kind == EntryKind::Model;
  if (updates)
    for (const Variable& v : module_->variables)
      for (const auto* changed : {&context_->assigned, &context_->trained})
        if (const auto it = changed->find(v.name);
            it != changed->end() && it->second != context_->variable(v))
          entry.graph.updates.push_back({v.name, it->second});
  std::vector<NodeId> ends;
  for (const Graph::Result& r : entry.graph.results) ends.push_back(r.value.node);
  for (const Graph::Update& u : entry.graph.updates) ends.push_back(u.value.node);
  const auto used = entry.graph.ancestors(ends);
  const bool draws =
      std::any_of(used.begin(), used.end(), [&](NodeId n) { return entry.graph[n].op == Op::Random; });
  if (updates && (entry.kind == EntryKind::Train || draws)) {
    context_->builder.location = {};
    const Value next = context_->builder.add(step_counter(), 1.0);
    entry.graph.updates.push_back({counter_variable().name, next});
  }
  entry.graph.erase_dead();
  entry.graph.compact();
}

void Tracer::finish_init(Entry& entry) {
  GraphBuilder builder(entry.graph);
  for (const Variable& v : module_->variables) {
    if (v.kind == VariableKind::Counter) {
      entry.graph.updates.push_back({v.name, builder.splat(v.type, 0)});
    } else if (const auto it = init_->assigned.find(v.name); it != init_->assigned.end()) {
      entry.graph.updates.push_back({v.name, it->second});
    }
  }
  entry.graph.erase_dead();
  entry.graph.compact();
}

Variable& Tracer::counter_variable() {
  std::string name = context_->name + ".step";
  for (;; name += "s") {
    Variable* v = module_->find_variable(name);
    if (v && v->kind == VariableKind::Counter) return *v;
    if (v) continue;  // the program has a state of this name
    return add_variable(name, {DType::I64, {}}, VariableKind::Counter);
  }
}

Value Tracer::step_counter() {
  if (context_->root().kind == GraphContext::Kind::Init) return context_->builder.splat({DType::I64, {}}, 0);
  return context_->variable(counter_variable());
}

Value Tracer::draw(const Shape& shape) { return draw_in(*context_, shape); }

// The numbers of all steps of a scan are drawn before it, so that each step has its own.
Value Tracer::draw_in(GraphContext& context, const Shape& shape) {
  if (context.kind == GraphContext::Kind::Scan) {
    Shape all = shape;
    all.insert(all.begin(), context.steps);
    return context.add_sequence(draw_in(*context.parent, all), "random");
  }
  Restore<GraphContext*> in_context(context_, &context);
  const DType dtype = float_type_ == DType::F64 ? DType::F64 : DType::F32;
  const Value seed = context_->variable(*module_->find_variable("seed"));
  const Value step = step_counter();
  const Value word =
      context_->builder.add_typed(Op::Random, {seed, step}, {dtype, shape}, {{Attr::Stream, next_stream_++}});
  return context_->builder.cast(word, float_type_);
}

}  // namespace nncc
