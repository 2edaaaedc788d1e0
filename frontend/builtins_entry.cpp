// Built-in functions that need the tracer: gradients, randomness, norms over parameters, and what cannot be
// compiled yet.
#include "frontend/tracer.h"
#include "ir/diagnostic.h"

namespace nncc {

namespace {

AbstractValue grad(BuiltinCall& call) { return call.tracer.gradient(call[0], call[1]); }
AbstractValue global_norm(BuiltinCall& call) { return call.tracer.global_norm(call[0]); }
AbstractValue random(BuiltinCall& call) { return call.context.tensor(call.tracer.draw(call.shape(0))); }

// The sum over all weights of what `term` makes of each.
template <typename F>
AbstractValue sum_weights(BuiltinCall& call, F term) {
  GraphBuilder& b = call.context.builder;
  Value total;
  for (const Value w : call.tracer.weights_under(call[0], call.builtin.name)) {
    std::vector<int64_t> axes(b.type(w).shape.size());
    for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
    const Value sum = b.cast(b.reduce(Op::ReduceSum, term(b, w), axes), call.float_type);
    total = total ? b.add(total, sum) : sum;
  }
  return call.context.tensor(total);
}

AbstractValue l1(BuiltinCall& call) {
  return sum_weights(call, [](GraphBuilder& b, Value w) { return b.add(Op::Abs, {w}); });
}

AbstractValue l2(BuiltinCall& call) {
  const TensorValue squares =
      sum_weights(call, [](GraphBuilder& b, Value w) { return b.mul(w, w); }).tensor();
  return call.context.tensor(call.context.builder.mul(squares.value, 0.5));
}

AbstractValue check(BuiltinCall& call) {
  if (!call[1].is_string()) call.fail(1, "a string");
  if (call.boolean(0)) return {};
  std::string message = call[1].string();
  if (!call[2].is_nothing()) message += ": found " + call[2].text();
  if (!call[3].is_nothing()) message += ", expected " + call[3].text();
  call.tracer.fail_in_user_text(message);
}

}  // namespace

std::vector<Builtin> entry_builtins() {
  constexpr bool kImpure = false;
  return {
      {"grad", "loss, x", grad, kImpure},
      {"global_norm", "x", global_norm, kImpure},
      {"random", "shape", random, kImpure},
      {"l1", "model", l1, kImpure},
      {"l2", "model", l2, kImpure},
      {"check", "condition, message, found = none, expected = none", check},
  };
}

}  // namespace nncc
