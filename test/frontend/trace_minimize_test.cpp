// Training: gradients, optimizers, their states and stages.
#include <cmath>

#include "trace_fixture.h"

namespace nncc {
namespace {

using Names = std::vector<std::string>;

// loss = sum(a * b): the gradients are known.
const std::string kModels = R"(
model a() { param w: f32[2] = constant(2)
  return w }
model b() { param w: f32[2] = constant(3)
  return w }
)";

struct Session {
  explicit Session(const std::string& text) : program(text) {
    EXPECT_EQ(program.errors, "");
    program.differentiate();
    evaluator = std::make_unique<Evaluator>(*program.module);
    evaluator->initialize(1);
  }
  std::vector<Literal> run(const std::string& entry) {
    return evaluator->run(*program.module->find_entry(entry), {});
  }
  double first(const std::string& variable) { return evaluator->variable(variable).real(0); }

  Traced program;
  std::unique_ptr<Evaluator> evaluator;
};

TEST(Minimize, DescendsAlongTheGradient) {
  Session session(kModels +
                  "train t() -> f32 {\n loss = sum(a() * b())\n minimize loss with sgd(0.1)\n return loss }");
  EXPECT_EQ(session.run("t")[0].real(0), 12);
  EXPECT_NEAR(session.first("a.w"), 2 - 0.1 * 3, 1e-12);
  EXPECT_NEAR(session.first("b.w"), 3 - 0.1 * 2, 1e-12);
  EXPECT_EQ(session.evaluator->variable("t.step").integer(0), 1);
}

TEST(Minimize, OverFreezesTheRest) {
  Session session(
      kModels +
      "train t() -> f32 {\n loss = sum(a() * b())\n minimize loss over b with sgd(0.1)\n return loss }");
  session.run("t");
  EXPECT_EQ(session.first("a.w"), 2);
  EXPECT_NEAR(session.first("b.w"), 3 - 0.1 * 2, 1e-12);
}

TEST(Minimize, TwoSeeTheParametersOfTheStart) {
  Session session(kModels + R"(train t() -> f32 {
  loss = sum(a() * b())
  minimize loss over a with sgd(0.1)
  minimize sum(a() * b()) over b with sgd(0.1)
  return sum(a()) })");
  EXPECT_EQ(session.run("t")[0].real(0), 4);
  EXPECT_NEAR(session.first("b.w"), 3 - 0.1 * 2, 1e-12);
  EXPECT_NEAR(session.first("a.w"), 2 - 0.1 * 3, 1e-12);
}

TEST(Minimize, AdamFollowsItsRule) {
  Session session(kModels + "train t() {\n minimize sum(a() ** 2) / 2 with adam(lr = 0.1) }");
  double w = 2, m = 0, v = 0;
  for (int step = 1; step <= 5; ++step) {
    session.run("t");
    m = 0.9 * m + 0.1 * w;
    v = 0.999 * v + 0.001 * w * w;
    w -= 0.1 * (m / (1 - std::pow(0.9, step))) / (std::sqrt(v / (1 - std::pow(0.999, step))) + 1e-8);
    EXPECT_NEAR(session.first("a.w"), w, 1e-9) << step;
  }
  EXPECT_EQ(session.program.variables(VariableKind::OptimizerState), (Names{"t.adam.m/a.w", "t.adam.v/a.w"}));
}

TEST(Minimize, TheGlobalNormIsOverAllParameters) {
  Session session(kModels + "train t() {\n minimize sum(a() * b()) with clip_norm(1) |> sgd(1) }");
  session.run("t");
  const double norm = std::sqrt(2 * 3 * 3 + 2 * 2 * 2);
  EXPECT_NEAR(session.first("a.w"), 2 - 3 / (norm + 1e-6), 1e-9);
  EXPECT_NEAR(session.first("b.w"), 3 - 2 / (norm + 1e-6), 1e-9);
}

TEST(Minimize, NormsOfNormsAndScalarStatesWork) {
  Session session(kModels + R"(
optimizer odd() {
  state norm: f32 = zeros()
  norm = global_norm(g)
  g = g / norm
  w = w - global_norm(2 * g) * g
}
train t() { minimize sum(a() * b()) with odd() })");
  session.run("t");
  const double norm = std::sqrt(2 * 3 * 3 + 2 * 2 * 2);
  EXPECT_NEAR(session.first("t.odd.norm/a.w"), norm, 1e-9);
  EXPECT_NEAR(session.first("a.w"), 2 - 2 * 3 / norm, 1e-9);
}

TEST(Minimize, SchedulesUseTheStepOfTheirEntry) {
  Session session(kModels +
                  "hyper rate: f32 = 0.4\n"
                  "train t() {\n minimize sum(a()) with sgd(lr = warmup(rate, steps = 4)) }");
  session.run("t");
  EXPECT_NEAR(session.first("a.w"), 2 - 0.1, 1e-9);
  session.run("t");
  EXPECT_NEAR(session.first("a.w"), 2 - 0.1 - 0.2, 1e-9);
}

TEST(Minimize, ParametersShareASlabAndSoDoStates) {
  const Traced program(kModels + R"(train t() {
  minimize sum(a()) with momentum(0.1) |> momentum(0.1)
  minimize sum(b()) with momentum(0.1)
})");
  ASSERT_EQ(program.errors, "");
  EXPECT_EQ(program.module->find_variable("a.w")->slab, "t");
  EXPECT_EQ(program.module->find_variable("b.w")->slab, "t.1");
  EXPECT_EQ(program.module->find_variable("t.momentum.v/a.w")->slab, "t.momentum.v");
  EXPECT_EQ(program.module->find_variable("t.momentum_1.v/a.w")->slab, "t.momentum_1.v");
  EXPECT_EQ(program.module->find_variable("t.1.momentum.v/b.w")->slab, "t.1.momentum.v");
}

TEST(Minimize, ScalarsTakeTheElementTypeOfTheParameter) {
  const Traced program(R"(
model a() { param w: f64[2] = constant(2)
  return w }
train t() { minimize cast(sum(a()), f32) with clip_norm(1) |> adam(lr = cosine_decay(0.1, steps = 10)) })");
  ASSERT_EQ(program.errors, "");
  EXPECT_EQ(program.module->find_variable("t.adam.m/a.w")->type.str(), "f64[2]");
}

TEST(Minimize, WhatStopGradientHidesStays) {
  const Traced program(kModels + "train t() { minimize sum(a() * stop_gradient(b())) with sgd(1) }");
  ASSERT_EQ(program.module->find_entry("t")->graph.updates.size(), 2u);
  EXPECT_EQ(program.module->find_entry("t")->graph.updates[0].variable, "a.w");
}

TEST(Minimize, WhatALoopDoesNotUseForTheLossStays) {
  Session session(kModels + R"(train t() -> f32 {
  ys, zs = scan i in ones([3]) axis 0 carry (h = 0.0, k = 1.0) {
    h = h + k
    k = k * i * sum(a())
    yield h, k * sum(b())
  }
  // Of a single step nothing goes on to another.
  once = scan i in ones([1]) axis 0 carry (h = 1.0) {
    y = h
    h = h * sum(b())
    yield y
  }
  minimize sum(ys) + sum(once) with l2_decay(0.5) |> sgd(0.1)
  return sum(zs) })");
  session.run("t");
  EXPECT_NE(session.first("a.w"), 2);
  EXPECT_EQ(session.first("b.w"), 3);
}

TEST(Minimize, PenaltiesSumOverWeightsAlone) {
  Session session(R"(
model m(x: f32[1, 2]) { return dense(x, 2) }
train t() -> (f32, f32, f32) { return l1(m), l2(m), l2(m.dense) })");
  session.evaluator->variable("m.dense.weight") = tensor_of({2, 2}, {1, -2, 3, -4});
  session.evaluator->variable("m.dense.bias") = vector_of({100, 100});
  const auto results = session.run("t");
  EXPECT_EQ(results[0].real(0), 10);
  EXPECT_EQ(results[1].real(0), 15);
  EXPECT_EQ(results[2].real(0), 15);
}

TEST(Grad, OfInputsEarlierValuesAndParameters) {
  Session session(R"(
model f() {
  param p: f32[2] = constant(3)
  y = p * p
  g = grad(sum(y * y), y)
  return grad(sum(g * p), p)
})");
  // g = 2 p^2, so the sum is 2 p^3 and its derivative 6 p^2.
  EXPECT_EQ(reals(session.run("f")[0]), (std::vector<double>{54, 54}));
}

TEST(GradientEntries, ReturnLossesAndGradientsAndKeepEverything) {
  TraceOptions options;
  options.gradient_entries = true;
  const Traced program(kModels + R"(train t() -> f32 {
  state seen: f32 = zeros()
  seen = seen + 1
  loss = sum(a() * b()) + sum(normal([2]))
  minimize loss over a with adam(0.1)
  minimize loss over b with adam(0.1)
  return loss
})",
                       options);
  ASSERT_EQ(program.errors, "");
  const Graph& graph = program.module->find_entry("t")->graph;
  EXPECT_TRUE(graph.updates.empty());
  Names names;
  for (const auto& r : graph.results) names.push_back(r.name);
  EXPECT_EQ(names, (Names{"loss", "gradient/a.w", "loss_1", "gradient/b.w"}));
}

TEST(GradientEntries, AreFollowedByEntriesOfLossesAlone) {
  TraceOptions options;
  options.gradient_entries = options.loss_entries = true;
  const Traced program(kModels + R"(train t(x: f32[2]) -> f32 {
  loss = sum(a() * b() * x) + sum(normal([2]))
  minimize loss over a with adam(0.1)
  minimize loss * 2 over b with adam(0.1)
  return loss
})",
                       options);
  ASSERT_EQ(program.errors, "");
  const Entry* losses = program.module->find_entry("t.losses");
  ASSERT_TRUE(losses);
  EXPECT_EQ(losses->kind, EntryKind::Train);
  EXPECT_EQ(losses->graph.arguments.size(), 1u);
  EXPECT_TRUE(losses->graph.updates.empty());
  Names names;
  for (const auto& r : losses->graph.results) names.push_back(r.name);
  EXPECT_EQ(names, (Names{"loss", "loss_1"}));
  for (const NodeId n : losses->graph.nodes()) EXPECT_NE(losses->graph[n].op, Op::Gradient);
  EXPECT_FALSE(program.module->find_entry("a.losses"));
}

}  // namespace
}  // namespace nncc
