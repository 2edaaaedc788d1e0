// Every primitive's gradient, and the gradient of its gradient, against differences along random directions,
// in double precision.
#include <numeric>

#include "passes/gradient_rules.h"
#include "test/passes/gradient_cases.h"

namespace nncc::test {
namespace {

class GradientOf : public ::testing::TestWithParam<Op> {};

TEST_P(GradientOf, agrees_with_differences) {
  int cases = 0;
  for (const Case& c : gradient_cases()) {
    if (c.op != GetParam()) continue;
    ++cases;
    for (const int order : {1, 2}) {
      const Slopes slopes = slopes_of(c, order);
      if (HasFatalFailure()) return;
      EXPECT_LE(slopes.error(), 1e-7) << c.label << ", order " << order << ": differences say "
                                      << slopes.expected << ", the gradient says " << slopes.found;
    }
  }
  EXPECT_GT(cases, 0) << "no case for `" << op_info(GetParam()).name << "`";
}

std::vector<Op> ops_of_kind(GradientRule::Kind kind) {
  std::vector<Op> ops;
  for (const OpInfo& info : all_ops())
    // Loops need a step function: test/e2e/loops.test. An index is no float.
    if (gradient_rule(info.op).kind == kind && info.op != Op::Scan && info.op != Op::CheckIndex)
      ops.push_back(info.op);
  return ops;
}

std::string op_label(const ::testing::TestParamInfo<Op>& info) {
  return std::string(op_info(info.param).name);
}

// Every primitive that has a gradient is here, so one without a case fails.
INSTANTIATE_TEST_SUITE_P(Primitives, GradientOf,
                         ::testing::ValuesIn(ops_of_kind(GradientRule::Kind::Differentiable)), op_label);

TEST(GradientRules, say_why_there_is_no_gradient) {
  for (const OpInfo& info : all_ops()) {
    const GradientRule& rule = gradient_rule(info.op);
    EXPECT_EQ(rule.kind == GradientRule::Kind::Differentiable, rule.apply != nullptr) << info.name;
    EXPECT_EQ(rule.kind == GradientRule::Kind::Differentiable, rule.reason.empty()) << info.name;
  }
}

// The gradients of one entry at given arguments.
std::vector<Literal> gradients_at(const Build& build, const std::vector<Literal>& at) {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "check";
  GraphBuilder b(entry.graph);
  Values xs;
  for (const Literal& x : at)
    xs.push_back(entry.graph.add_argument("x" + std::to_string(xs.size()), x.type()));
  const Value y = b.cast(build(b, xs), DType::F64);
  Ints axes(b.type(y).rank());
  std::iota(axes.begin(), axes.end(), 0);
  add_results(entry.graph, gradient(b, b.reduce(Op::ReduceSum, y, axes), xs));
  run_passes(module, "autodiff");
  return Evaluator(module).run(module.entries[0], at);
}

Literal vector(std::vector<double> values) {
  const auto n = static_cast<int64_t>(values.size());
  return Literal::floats({DType::F64, {n}}, std::move(values));
}

void expect_gradients(const Build& build, const std::vector<Literal>& at,
                      const std::vector<Literal>& expected) {
  const std::vector<Literal> found = gradients_at(build, at);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    expect_close(expected[i], found[i], 1e-15, "operand " + std::to_string(i));
}

TEST(Gradient, is_zero_where_an_op_has_none) {
  for (const Op op : ops_of_kind(GradientRule::Kind::Zero)) {
    const OpInfo& info = op_info(op);
    SCOPED_TRACE(std::string(info.name));
    const Build build = [&](GraphBuilder& b, const Values& x) {
      std::vector<Value> operands(info.num_operands, x[0]);
      if (op == Op::Not || op == Op::And || op == Op::Or)
        for (Value& v : operands) v = b.add(Op::Gt, {v, b.splat_like(v, 0)});
      Attributes attributes;
      for (const Attr attr : info.attributes)
        attributes.set(attr, info.has(Window) ? AttrValue(Ints{1}) : AttrValue(int64_t{0}));
      if (!info.has(Window)) return b.add(op, operands, attributes);
      return b.add_typed(op, operands, {DType::I32, {3}}, attributes);
    };
    expect_gradients(build, {vector({-1.5, 0.25, 2})}, {vector({0, 0, 0})});
  }
}

TEST(Gradient, is_zero_for_what_the_loss_does_not_depend_on) {
  expect_gradients([](GraphBuilder& b, const Values& x) { return b.mul(x[0], x[0]); },
                   {vector({1, 2}), vector({3, 4, 5})}, {vector({2, 4}), vector({0, 0, 0})});
  expect_gradients(
      [](GraphBuilder& b, const Values& x) { return b.add(Op::StopGradient, {b.mul(x[0], x[0])}); },
      {vector({1, 2})}, {vector({0, 0})});
}

TEST(Gradient, of_the_loss_itself_is_one) {
  const Literal scalar = Literal::floats({DType::F64, {}}, {3});
  expect_gradients([](GraphBuilder&, const Values& x) { return x[0]; }, {scalar},
                   {Literal::floats({DType::F64, {}}, {1})});
}

TEST(Gradient, at_ties) {
  expect_gradients(apply(Op::Max), {vector({1, 2, 3}), vector({1, 3, 2})},
                   {vector({0.5, 0, 1}), vector({0.5, 1, 0})});
  expect_gradients(apply(Op::Min), {vector({1, 2, 3}), vector({1, 3, 2})},
                   {vector({0.5, 1, 0}), vector({0.5, 0, 1})});
  expect_gradients(reduce(Op::ReduceMax, {0}), {vector({4, 1, 4, 4, 2})},
                   {vector({1. / 3, 0, 1. / 3, 1. / 3, 0})});
  expect_gradients(reduce(Op::ReduceMin, {0}), {vector({1, 1})}, {vector({0.5, 0.5})});
  expect_gradients(apply(Op::Abs), {vector({-1, 0, 1})}, {vector({-1, 0, 1})});
}

TEST(Gradient, of_powers_at_the_edges) {
  const double nan = std::nan("");
  expect_gradients(pow_by(2), {vector({0, -3})}, {vector({0, -6})});
  expect_gradients(pow_by(0), {vector({0, -3})}, {vector({0, 0})});
  expect_gradients(pow_by(1), {vector({0, -3})}, {vector({1, 1})});
  // 0^2, 0^0, (-2)^2, (-2)^0: by the base b a^(b-1); by the exponent a^b log a, 0 at a = 0 and b >= 0, NaN
  // below.
  expect_gradients(apply(Op::Pow), {vector({0, 0, -2, -2}), vector({2, 0, 2, 0})},
                   {vector({0, 0, -4, 0}), vector({0, 0, nan, nan})});
}

TEST(Gradient, goes_through_casts_between_floats) {
  const Build build = [](GraphBuilder& b, const Values& x) {
    const Value single = b.cast(x[0], DType::F32), half = b.cast(single, DType::F16);
    return b.mul(single, b.cast(half, DType::F32));
  };
  expect_gradients(build, {vector({1, -2.5})}, {vector({2, -5})});
}

TEST(Gradient, ends_at_integers) {
  const Build build = [](GraphBuilder& b, const Values& x) {
    return b.cast(b.cast(x[0], DType::I32), DType::F64);
  };
  expect_gradients(build, {vector({1, -2.5})}, {vector({0, 0})});
}

TEST(Gradient, of_square_root_at_zero_is_infinite) {
  expect_gradients(apply(Op::Sqrt), {vector({0, 4})}, {vector({INFINITY, 0.25})});
}

// Products of what else there is: with one zero that one alone has a gradient, with two none has.
TEST(Gradient, of_products_with_zeros) {
  expect_gradients(reduce(Op::ReduceProd, {0}), {vector({2, 0, 3})}, {vector({0, 6, 0})});
  expect_gradients(reduce(Op::ReduceProd, {0}), {vector({2, 0, 0})}, {vector({0, 0, 0})});
}

// With respect to a value in the middle: paths that go around it do not count.
TEST(Gradient, with_respect_to_an_intermediate_value) {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "check";
  GraphBuilder b(entry.graph);
  const TensorType type{DType::F64, {}};
  const Value x = entry.graph.add_argument("x", type);
  const Value h = b.mul(x, x);
  const Value loss = b.add(b.mul(h, h), x);
  const Values g = gradient(b, loss, {h, x});
  entry.graph.results = {{"h", g[0]}, {"x", g[1]}};
  run_passes(module, "autodiff");
  const auto results = Evaluator(module).run(module.entries[0], std::vector{Literal::floats(type, {3})});
  EXPECT_EQ(results[0].real(0), 18);          // 2 h
  EXPECT_EQ(results[1].real(0), 18 * 6 + 1);  // 2 h 2 x + 1
}

TEST(Gradient, carries_the_place_of_the_forward_node) {
  SourceManager sources;
  const SourceFile& file = sources.add("m.nn", "y = exp(x)\n");
  Graph graph;
  GraphBuilder b(graph);
  const Value x = graph.add_argument("x", {DType::F64, {}});
  b.location = {{&file, 4, 10}, nullptr};
  const Value y = b.add(Op::Exp, {x});
  b.location = {};
  graph.results.push_back({"g", gradient(b, y, {x})[0]});
  Module module;
  module.entries.emplace_back().name = "check";
  module.entries[0].graph = graph;
  run_passes(module, "autodiff,dce");
  const Graph& after = module.entries[0].graph;
  for (const NodeId id : after.nodes()) {
    if (after[id].op == Op::Input) continue;
    EXPECT_EQ(after[id].location.range.begin, 4u) << op_info(after[id].op).name;
  }
}

}  // namespace
}  // namespace nncc::test
