// Loops over time: the body is traced once, into a step function.
#include <algorithm>
#include <set>

#include "frontend/tensor_ops.h"
#include "frontend/tracer.h"
#include "ir/scan.h"

namespace nncc {

namespace {

// The permutation that brings `axis` to the front, or, `back`, from there to its place.
std::vector<int64_t> axis_to_front(int64_t axis, int rank, bool back) {
  std::vector<int64_t> perm;
  for (int64_t i = 0; i < rank; ++i) perm.push_back(i);
  if (back)
    std::rotate(perm.begin(), perm.begin() + 1, perm.begin() + axis + 1);
  else
    std::rotate(perm.begin(), perm.begin() + axis, perm.begin() + axis + 1);
  return perm;
}

}  // namespace

bool Tracer::check_yields(const ast::Block& block) {
  bool yields = false;
  const auto once = [&](bool here, SourceRange range) {
    if (here && yields) fail(range, "a step of a `scan` yields once; several results are `yield a, b`");
    yields = yields || here;
  };
  for (const auto& s : block.statements) {
    if (std::holds_alternative<ast::Yield>(s->node)) {
      once(true, s->range);
    } else if (const auto* branch = std::get_if<ast::If>(&s->node)) {
      const bool then_yields = check_yields(branch->then_block);
      const bool else_yields = branch->else_block && check_yields(*branch->else_block);
      if (then_yields != else_yields)
        fail(s->range, std::string("every path through a step yields, but the ") +
                           (then_yields ? "`else`" : "`if`") + " path does not");
      once(then_yields, s->range);
    } else if (const auto* loop = std::get_if<ast::For>(&s->node)) {
      if (check_yields(loop->body)) fail(s->range, "a step of a `scan` yields once, not in a loop");
    }
  }
  return yields;
}

void Tracer::check_scan_names(const ast::ScanExpr& n) {
  std::set<std::string> names;
  const auto check = [&](const ast::Name& name) {
    if (!names.insert(name.text).second)
      fail(name.range, "two of the names of this `scan` are `" + name.text + "`");
  };
  for (const ast::Name& name : n.names) check(name);
  for (const auto& [name, first] : n.carry) check(name);
}

// Numbers that meet no tensor are floats, those that are carried or yielded, too.
TensorValue Tracer::number_as_float(const AbstractValue& v) {
  return v.is_number() ? make_splat(*context_, v, {float_type_, {}}) : to_tensor(*context_, v, float_type_);
}

void Tracer::exec_yield(const ast::Yield& n, SourceRange range) {
  if (!frame_->yields) fail(range, "`yield` stands in a `scan`");
  for (const auto& e : n.values) {
    const AbstractValue v = eval_single(*e);
    if (!v.is_tensor() && !v.is_scalar_constant())
      fail(e->range, "a step yields tensors, found " + v.describe());
    set_location(e->range);
    frame_->yields->push_back({number_as_float(v), e->range});
  }
}

// The sequences, each with its steps along the first axis.
std::vector<TensorValue> Tracer::scanned_sequences(const ast::ScanExpr& n, int64_t axis) {
  std::vector<TensorValue> sequences;
  int64_t steps = 0;
  for (const auto& e : n.sequences) {
    const AbstractValue v = eval_single(*e);
    if (!v.is_tensor()) fail(e->range, "a `scan` goes over tensors, found " + v.describe());
    const TensorValue& t = v.tensor();
    const int64_t at_axis = at(n.axis->range, [&] { return normalize_axis(axis, t.type.rank(), -1); });
    const int64_t extent = t.type.shape[at_axis];
    if (!sequences.empty() && extent != steps)
      fail(e->range, "the sequences of a `scan` have one length: this one has " + count_text(extent, "step") +
                         " along axis " + std::to_string(axis) + ", the first has " + std::to_string(steps));
    steps = extent;
    set_location(e->range);
    sequences.push_back(
        context_->tensor(context_->builder.transpose(t.value, axis_to_front(at_axis, t.type.rank(), false))));
  }
  if (n.names.size() != sequences.size())
    fail(n.names.back().range,
         "a `scan` has a name for each sequence: " + count_text(n.names.size(), "name") + " for " +
             count_text(sequences.size(), "sequence"));
  return sequences;
}

AbstractValue Tracer::eval_scan(const ast::ScanExpr& n, SourceRange range) {
  if (!context_) fail(range, "a `scan` does not give a constant");
  const bool yields = check_yields(*n.body);
  check_scan_names(n);
  const int64_t axis = eval_int(*n.axis, "an axis");
  const std::vector<TensorValue> sequences = scanned_sequences(n, axis);
  std::vector<Value> first;
  for (const auto& [name, e] : n.carry) {
    const AbstractValue v = eval_single(*e);
    if (!v.is_tensor() && !v.is_scalar_constant())
      fail(e->range, "a carried value is a tensor, found " + v.describe());
    set_location(e->range);
    first.push_back(number_as_float(v).value);
  }

  Function& function = module_->functions.emplace_back();
  function.kind = FunctionKind::Step;
  function.name = module_->unique_function_name(frame_->function->name + ".step");
  GraphContext body(*context_, sequences[0].type.shape[0], function.body);
  std::vector<Value> carried;
  std::vector<std::pair<TensorValue, SourceRange>> yielded;
  {
    Restore<std::map<std::string, Binding>> names(frame_->names, std::map(frame_->names));
    Restore<GraphContext*> in_body(context_, &body);
    Restore<std::vector<std::pair<TensorValue, SourceRange>>*> in_scan(frame_->yields, &yielded);
    for (size_t i = 0; i < first.size(); ++i) {
      const ast::Name& name = n.carry[i].first;
      carried.push_back(function.body.add_argument(name.text, body.parent->builder.type(first[i]),
                                                   {name.range, frame_->call}));
      frame_->names[name.text] = {body.tensor(carried[i]), name.range, {}};
    }
    for (size_t i = 0; i < sequences.size(); ++i) {
      const ast::Name& name = n.names[i];
      frame_->names[name.text] = {
          body.tensor(body.add_sequence(sequences[i].value, name.text)), name.range, {}};
    }
    const bool failed_before = frame_->failed;
    frame_->failed = false;
    exec(*n.body);
    if (frame_->failed) throw Abort{};
    frame_->failed = failed_before;
    for (size_t i = 0; i < first.size(); ++i) {
      const ast::Name& name = n.carry[i].first;
      const TensorValue last =
          coerce_exact(read(frame_->names[name.text], name.text, name.range), body.builder.type(carried[i]),
                       frame_->names[name.text].origin, "the carried value `" + name.text + "`", name.range);
      function.body.results.push_back({name.text, last.value});
    }
  }
  for (size_t i = 0; i < yielded.size(); ++i)
    function.body.results.push_back({"yield_" + std::to_string(i), yielded[i].first.value});
  set_location(range);
  const std::vector<Value> results = finish_scan(body, function, first, n.reverse);

  for (size_t i = 0; i < first.size(); ++i) {
    const ast::Name& name = n.carry[i].first;
    const AbstractValue last = context_->tensor(results[i]);
    frame_->names[name.text] = {last, name.range, {}};
  }
  if (!yields) return {};
  std::vector<AbstractValue> stacked;
  for (size_t i = 0; i < yielded.size(); ++i) {
    const Value v = results[first.size() + i];
    const int rank = context_->builder.type(v).rank();
    if (axis >= rank || axis < -rank)
      fail(yielded[i].second, "this is " + yielded[i].first.type.str() +
                                  ", which cannot be stacked along axis " + std::to_string(axis));
    const int64_t to = axis < 0 ? axis + rank : axis;
    at(yielded[i].second, [&] { check_shape(context_->builder.type(v).shape); });
    stacked.push_back(context_->tensor(context_->builder.transpose(v, axis_to_front(to, rank, true))));
  }
  return stacked.size() == 1 ? stacked[0] : AbstractValue::results(std::move(stacked));
}

// The scan node; `body` has everything but the order of its arguments.
std::vector<Value> Tracer::finish_scan(GraphContext& body, Function& function, std::vector<Value> operands,
                                       bool reversed) {
  const auto carries = static_cast<int64_t>(operands.size());
  std::vector<Graph::Argument> arguments(function.body.arguments.begin(),
                                         function.body.arguments.begin() + carries);
  for (const auto* list : {&body.sequences, &body.others}) {
    for (const GraphContext::Passed& passed : *list) {
      operands.push_back(passed.outer);
      arguments.push_back(*std::find_if(function.body.arguments.begin(), function.body.arguments.end(),
                                        [&](const Graph::Argument& a) { return a.value == passed.inner; }));
    }
  }
  set_arguments(function.body, std::move(arguments));
  std::vector<TensorType> types;
  for (size_t i = 0; i < function.body.results.size(); ++i) {
    const TensorType& type = function.body.type(function.body.results[i].value);
    types.push_back(static_cast<int64_t>(i) < carries ? type : stacked_type(type, body.steps));
  }
  const auto count = static_cast<int32_t>(types.size());
  const NodeId node =
      context_->builder.add_multi(Op::Scan, operands, std::move(types),
                                  {{Attr::Symbol, function.name},
                                   {Attr::Steps, body.steps},
                                   {Attr::Carries, carries},
                                   {Attr::Sequences, static_cast<int64_t>(body.sequences.size())},
                                   {Attr::Reversed, reversed}});
  std::vector<Value> results;
  for (int32_t i = 0; i < count; ++i) results.push_back({node, i});
  return results;
}

}  // namespace nncc
