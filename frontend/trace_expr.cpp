// Expressions: names, operators, indexing.
#include <algorithm>

#include "frontend/constants.h"
#include "frontend/tracer.h"

namespace nncc {

AbstractValue Tracer::eval_single(const ast::Expr& e) {
  AbstractValue v = eval(e);
  if (v.is_results())
    fail(e.range, "expected one value, found " + count_text(v.result_values().size(), "result"));
  if (v.is_nothing()) fail_without_value(e);
  return v;
}

void Tracer::fail_without_value(const ast::Expr& e) {
  if (std::holds_alternative<ast::ScanExpr>(e.node))
    fail(e.range, "this `scan` gives no value: its steps yield none");
  fail(e.range, "this call gives no value");
}

AbstractValue Tracer::eval(const ast::Expr& e) {
  return std::visit(ast::Overloaded{
                        [](const ast::IntLiteral& n) -> AbstractValue { return n.value; },
                        [](const ast::FloatLiteral& n) -> AbstractValue { return n.value; },
                        [](const ast::BoolLiteral& n) -> AbstractValue { return n.value; },
                        [](const ast::StringLiteral& n) -> AbstractValue { return n.value; },
                        [&](const ast::NameRef& n) { return eval_name(n.name, e.range); },
                        [&](const ast::PathRef&) -> AbstractValue {
                          fail(e.range, "a path stands after `over` and in `l1` and `l2` alone");
                        },
                        [&](const ast::ListExpr& n) {
                          std::vector<AbstractValue> elements;
                          for (const auto& x : n.elements) elements.push_back(eval_single(*x));
                          return AbstractValue::list(std::move(elements));
                        },
                        [&](const ast::Unary& n) {
                          const AbstractValue v = eval_single(*n.operand);
                          return at(e.range, [&]() -> AbstractValue {
                            if (v.is_tensor()) return tensor_unary(*context_, n.op, v.tensor());
                            return fold_unary(n.op, v);
                          });
                        },
                        [&](const ast::Binary& n) { return eval_binary(e, n); },
                        [&](const ast::Call& n) { return eval_call(e, n); },
                        [&](const ast::Index& n) { return eval_index(e, n); },
                        [&](const ast::ScanExpr& n) { return eval_scan(n, e.range); },
                        [&](const ast::TypeLiteral& n) -> AbstractValue { return eval_type(*n.type); },
                    },
                    e.node);
}

AbstractValue Tracer::eval_name(const std::string& name, SourceRange range) {
  if (auto v = lookup(name, range)) return *v;
  unknown_name(name, range, "name");
}

std::optional<AbstractValue> Tracer::lookup(const std::string& name, SourceRange range) {
  if (const auto it = frame_->names.find(name); it != frame_->names.end())
    return read(it->second, name, range);
  if (const Symbol* s = symbols_.find(frame_->file(), name)) {
    if (s->kind == SymbolKind::Const) return constant_value(*s);
    if (s->kind != SymbolKind::Hyper) return FunctionValue{s, nullptr};
    const Variable* v = module_->find_variable(name);
    if (!v || v->kind != VariableKind::Hyper) throw Abort{};  // its declaration was reported
    if (!context_) fail(range, "the hyper `" + name + "` is not known at compile time");
    if (!context_->in_entry())
      fail(range,
           "initial values are made before the first run and cannot depend on the hyper `" + name + "`");
    set_location(range);
    return context_->tensor(context_->variable(*v));
  }
  bool found = false;
  AbstractValue special = special_name(name, range, found);
  if (found) return special;
  if (const Builtin* b = find_builtin(name)) return FunctionValue{nullptr, b};
  return std::nullopt;
}

AbstractValue Tracer::special_name(const std::string& name, SourceRange range, bool& found) {
  found = true;
  if (name == "training" && context_) return context_->training();
  if (name == "step" && context_) {
    if (!minimize_) fail(range, "`step` is known in an optimizer and after `with` alone");
    set_location(range);
    return context_->tensor(step_value());
  }
  found = false;
  return {};
}

AbstractValue Tracer::read(Binding& binding, const std::string& name, SourceRange range) {
  if (binding.value.is_poison()) throw Abort{};
  if (!binding.value.is_tensor()) return context_ ? context_->capture(binding.value) : binding.value;
  const TensorValue& t = binding.value.tensor();
  if (&context_->root() == init_ && &t.context->root() != init_) {
    // An initial value may be built from that of another variable.
    const Node& node = t.context->graph()[t.value.node];
    if (node.op == Op::Variable)
      if (const auto it = init_->assigned.find(node.attributes.string(Attr::Symbol));
          it != init_->assigned.end())
        return context_->capture(init_->tensor(it->second));
    fail(range, "initial values are made before the first run and cannot depend on `" + name + "`");
  }
  if (binding.variable.empty()) return context_->capture(binding.value);
  return context_->tensor(context_->current(*module_->find_variable(binding.variable)));
}

void Tracer::unknown_name(const std::string& name, SourceRange range, std::string_view kind) {
  std::vector<std::string> known = symbols_.visible_names(frame_->file());
  for (const auto& [local, binding] : frame_->names) known.push_back(local);
  for (const Builtin& b : all_builtins()) known.push_back(b.name);
  known.push_back("training");
  if (minimize_) known.push_back("step");
  std::string message = "unknown " + std::string(kind) + " `" + name + "`";
  const std::string near = nearest_name(name, known);
  if (!near.empty()) message += "; did you mean `" + near + "`?";
  fail(range, message);
}

AbstractValue Tracer::eval_binary(const ast::Expr& e, const ast::Binary& n) {
  const AbstractValue a = eval_single(*n.left);
  const bool logical = n.op == ast::BinaryOp::And || n.op == ast::BinaryOp::Or;
  if (logical && a.is_bool()) {  // decided by the left side, or by the right alone
    if (a.boolean() == (n.op == ast::BinaryOp::Or)) return a;
    const AbstractValue b = eval_single(*n.right);
    const bool is_bool = b.is_bool() || (b.is_tensor() && b.tensor().type.dtype == DType::Bool);
    if (!is_bool)
      fail(n.right->range, "`" + std::string(ast::spelling(n.op)) + "` takes bools, found " + b.describe());
    return b;
  }
  const AbstractValue b = eval_single(*n.right);
  return at(e.range, [&]() -> AbstractValue {
    if (a.is_tensor() || b.is_tensor()) return tensor_binary(*context_, n.op, a, b, float_type_);
    if (logical)
      throw OpError("`" + std::string(ast::spelling(n.op)) + "` takes bools, found " + a.describe());
    if (n.op == ast::BinaryOp::Div && is_lossy_division(a, b) && !e.range.file->is_library &&
        is_new_message(e.range, "lossy division"))
      diags_.warning(e.range, a.text() + " / " + b.text() + " is 0, since ints round down; write " +
                                  a.text() + ".0 / " + b.text() + " for the float");
    return fold_binary(n.op, a, b);
  });
}

int64_t Tracer::eval_int(const ast::Expr& e, std::string_view what) {
  const AbstractValue v = eval_single(e);
  if (!v.is_int()) fail(e.range, std::string(what) + " is a constant int, found " + v.describe());
  return v.integer();
}

IndexPart Tracer::eval_range(const ast::Subscript& s) {
  IndexPart part;
  part.kind = IndexPart::Kind::Range;
  if (s.start) part.start = eval_int(*s.start, "the start of a range");
  if (s.stop) part.stop = eval_int(*s.stop, "the end of a range");
  if (s.step) part.step = eval_int(*s.step, "the step of a range");
  return part;
}

namespace {

// Which axis of what an index takes belongs to one of its parts, a range.
int64_t axis_of_part(const std::vector<IndexPart>& parts, size_t part, int rank) {
  const auto count_axes = [&](size_t from, size_t to) {
    return std::count_if(parts.begin() + static_cast<std::ptrdiff_t>(from),
                         parts.begin() + static_cast<std::ptrdiff_t>(to),
                         [](const IndexPart& p) { return p.kind == IndexPart::Kind::Range; });
  };
  const bool after_ellipsis =
      std::any_of(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(part),
                  [](const IndexPart& p) { return p.kind == IndexPart::Kind::Ellipsis; });
  return after_ellipsis ? rank - count_axes(part, parts.size()) : count_axes(0, part);
}

}  // namespace

AbstractValue Tracer::eval_index(const ast::Expr& e, const ast::Index& n) {
  const AbstractValue base = eval_single(*n.base);
  if (base.is_list()) return index_list(e, n, base);
  if (!base.is_tensor())
    fail(n.base->range, "only tensors and lists have elements, found " + base.describe());
  std::vector<IndexPart> parts;
  std::optional<std::pair<TensorValue, size_t>> looked_up;  // and which part it is
  for (const ast::Subscript& s : n.subscripts) {
    IndexPart part;
    switch (s.kind) {
      case ast::Subscript::Kind::Ellipsis:
        part.kind = IndexPart::Kind::Ellipsis;
        break;
      case ast::Subscript::Kind::Range:
        part = eval_range(s);
        break;
      case ast::Subscript::Kind::Index: {
        const AbstractValue index = eval_single(*s.index);
        if (index.is_tensor() && is_integer(index.tensor().type.dtype)) {
          if (looked_up) fail(s.range, "one tensor of integers at most in an index");
          looked_up = {index.tensor(), parts.size()};
          part.kind = IndexPart::Kind::Range;
          break;
        }
        if (!index.is_int())
          fail(s.range, "an index is an int, a range or a tensor of integers, found " + index.describe());
        part.index = index.integer();
        break;
      }
    }
    parts.push_back(part);
  }
  set_location(e.range);
  try {
    const TensorValue taken = tensor_index(*context_, base.tensor(), parts);
    if (!looked_up) return taken;
    return tensor_gather(*context_, taken, looked_up->first,
                         axis_of_part(parts, looked_up->second, taken.type.rank()));
  } catch (const OpError& error) {
    fail(error.argument >= 0 ? n.subscripts[error.argument].range : e.range, error);
  }
}

AbstractValue Tracer::index_list(const ast::Expr& e, const ast::Index& n, const AbstractValue& base) {
  const auto& elements = base.elements();
  const auto size = static_cast<int64_t>(elements.size());
  if (n.subscripts.size() != 1 || n.subscripts[0].kind == ast::Subscript::Kind::Ellipsis)
    fail(e.range, "a list takes one index");
  const ast::Subscript& s = n.subscripts[0];
  if (s.kind == ast::Subscript::Kind::Index) {
    const int64_t written = eval_int(*s.index, "the index of a list");
    const int64_t i = written < 0 ? written + size : written;
    if (i < 0 || i >= size)
      fail(s.range,
           "the index " + std::to_string(written) + " is beyond a list of " + count_text(size, "element"));
    return elements[i];
  }
  const IndexPart part = eval_range(s);
  std::vector<AbstractValue> taken;
  const bool forward = part.step.value_or(1) > 0;
  const auto resolve = [&](int64_t i) { return i < 0 ? i + size : i; };
  const int64_t start = part.start ? resolve(*part.start) : forward ? 0 : size - 1;
  const int64_t stop = part.stop ? resolve(*part.stop) : forward ? size : -1;
  if (forward ? start >= stop && start <= size && stop >= 0 : start <= stop && stop < size)
    return AbstractValue::list({});  // unlike a tensor's, a list's range may be empty
  const RangeElements range = at(s.range, [&] { return range_elements(part, size); });
  for (int64_t i = 0; i < range.count; ++i) taken.push_back(elements[range.first + i * range.step]);
  return AbstractValue::list(std::move(taken));
}

bool Tracer::eval_condition(const ast::Expr& e) {
  const AbstractValue v = eval_single(e);
  if (v.is_tensor())
    fail(e.range, "`if` takes a constant bool, found " + v.describe() +
                      ", known at run time alone; `where` chooses elementwise");
  if (!v.is_bool()) fail(e.range, "`if` takes a constant bool, found " + v.describe());
  return v.boolean();
}

}  // namespace nncc
