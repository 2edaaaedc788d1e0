// Models, parameters, states, randomness and kept calls.
#include <algorithm>
#include <set>

#include "trace_fixture.h"

namespace nncc {
namespace {

using Names = std::vector<std::string>;

TEST(Parameters, PathsAreChainsOfCalls) {
  const Traced program(R"(
fn block(x: f32[n, k]) {
  for i in 0..2 { x = x |> dense(4) |> relu }
  return dense(x, 4, name = "last")
}
model inner(x: f32[2, 3]) {
  param shift: f32[3] = zeros()
  return x + shift
}
model outer(x: f32[2, 3]) { return block(block(inner(x) + inner(x)), name = "second") })");
  EXPECT_EQ(program.variables(VariableKind::Parameter),
            (Names{"inner.shift", "outer.block.dense.weight", "outer.block.dense.bias",
                   "outer.block.dense_1.weight", "outer.block.dense_1.bias", "outer.block.last.weight",
                   "outer.block.last.bias", "outer.second.dense.weight", "outer.second.dense.bias",
                   "outer.second.dense_1.weight", "outer.second.dense_1.bias", "outer.second.last.weight",
                   "outer.second.last.bias"}));
}

TEST(Parameters, InitialValuesTakeTheDeclaredShape) {
  const Traced program(R"(
fn ramp(shape: [int], slope) { return slope * cast(iota(shape[0]), f32) }
model f(x: f32[4]) {
  param a: f32[4] = ramp(2)
  param b: f32[4] = constant(3)
  param c: f32 = 0.25
  param d: f32[4] = a + 1
  state n: i32 = zeros()
  param e: f32[3, 5] = he_normal()
  return x + a + b + c + d + cast(n, f32) + e[0, 0]
})");
  ASSERT_EQ(program.errors, "");
  Evaluator evaluator(*program.module);
  evaluator.initialize(3);
  EXPECT_EQ(reals(evaluator.variable("f.a")), (std::vector<double>{0, 2, 4, 6}));
  EXPECT_EQ(reals(evaluator.variable("f.b")), (std::vector<double>{3, 3, 3, 3}));
  EXPECT_EQ(reals(evaluator.variable("f.c")), (std::vector<double>{0.25}));
  EXPECT_EQ(reals(evaluator.variable("f.d")), (std::vector<double>{1, 3, 5, 7}));
  EXPECT_EQ(evaluator.variable("f.n").type().dtype, DType::I32);
  const auto e = reals(evaluator.variable("f.e"));
  EXPECT_NE(e[0], e[1]);
}

TEST(Parameters, ADenseLayerComputesWhatItSays) {
  const Traced program("model f(x: f32[2, 3]) -> f32[2, 2] { return dense(x, 2) }");
  Evaluator evaluator(*program.module);
  evaluator.initialize(1);
  evaluator.variable("f.dense.weight") = tensor_of({3, 2}, {1, 2, 3, 4, 5, 6});
  evaluator.variable("f.dense.bias") = vector_of({10, 20});
  const Literal x = tensor_of({2, 3}, {1, 0, 0, 1, 1, 1});
  EXPECT_EQ(reals(evaluator.run(*program.module->find_entry("f"), {&x, 1}).front()),
            (std::vector<double>{11, 22, 19, 32}));
}

const char* const kCounter = R"(
fn tick() {
  state count: f32 = zeros()
  count = count + 1
  return count
}
model f(x: f32) { return x * tick() }
train t(x: f32) -> (a: f32, b: f32) {
  a = f(x)
  b = f(x)
  return a, b
})";

TEST(States, AreUpdatedInTrainingAndSeenByTheNextCall) {
  const Traced program(kCounter);
  ASSERT_EQ(program.errors, "");
  EXPECT_EQ(program.variables(VariableKind::State), Names{"f.tick.count"});
  Evaluator evaluator(*program.module);
  evaluator.initialize(1);
  const Literal x = tensor_of({}, {10});
  const Entry& train = *program.module->find_entry("t");
  auto results = evaluator.run(train, {&x, 1});
  EXPECT_EQ(results[0].real(0), 10);
  EXPECT_EQ(results[1].real(0), 20);
  results = evaluator.run(train, {&x, 1});
  EXPECT_EQ(results[1].real(0), 40);
  // For inference the name goes on meaning what was saved.
  EXPECT_EQ(evaluator.run(*program.module->find_entry("f"), {&x, 1})[0].real(0), 40);
  EXPECT_EQ(reals(evaluator.variable("f.tick.count")), (std::vector<double>{4}));
}

TEST(States, MemoryIsUpdatedByInferenceToo) {
  const Traced program(R"(
model f(x: f32[2]) {
  memory last: f32[2] = zeros()
  before = last
  last = x
  return before
})");
  Evaluator evaluator(*program.module);
  evaluator.initialize(1);
  const Literal x = vector_of({3, 4});
  evaluator.run(*program.module->find_entry("f"), {&x, 1});
  EXPECT_EQ(reals(evaluator.run(*program.module->find_entry("f"), {&x, 1}).front()),
            (std::vector<double>{3, 4}));
}

TEST(Randomness, EveryPlaceHasItsStream) {
  const Traced program(R"(
model f(x: f32[4]) { return x + normal([4]) + uniform([4], 0, 1) }
model still(x: f32[4]) { return dropout(x) }
train t(x: f32[4]) -> f32 { return sum(dropout(f(x))) })");
  std::set<int64_t> streams;
  int draws = 0;
  for (const Entry& e : program.module->entries)
    for (const NodeId n : e.graph.nodes())
      if (e.graph[n].op == Op::Random) {
        ++draws;
        streams.insert(e.graph[n].attributes.integer(Attr::Stream));
      }
  EXPECT_EQ(draws, 7);
  EXPECT_EQ(streams.size(), 7u);
  // Inference that draws nothing counts no steps.
  EXPECT_EQ(program.variables(VariableKind::Counter), (Names{"f.step", "t.step"}));
  Evaluator evaluator(*program.module);
  evaluator.initialize(5);
  const Literal x = vector_of({0, 0, 0, 0});
  const Entry& f = *program.module->find_entry("f");
  EXPECT_NE(reals(evaluator.run(f, {&x, 1})[0]), reals(evaluator.run(f, {&x, 1})[0]));
  EXPECT_EQ(evaluator.variable("f.step").integer(0), 2);
}

TEST(Entries, NameTheirResults) {
  const Traced program(R"(
model one(x: f32) { return x }
model two(x: f32) { return x, x + 1 }
model named(x: f32) -> (a: f32, b: f32) { return two(x) })");
  const auto names = [&](const char* entry) {
    Names out;
    for (const auto& r : program.module->find_entry(entry)->graph.results) out.push_back(r.name);
    return out;
  };
  EXPECT_EQ(names("one"), Names{"result"});
  EXPECT_EQ(names("two"), (Names{"result_0", "result_1"}));
  EXPECT_EQ(names("named"), (Names{"a", "b"}));
}

TEST(Options, ConstantsAreOverridden) {
  const std::string text =
      "const n = 4\nconst r = 0.5\nconst sizes = [2, 3]\n"
      "model f(x: f32[n]) { return reshape(x, sizes) * r }";
  TraceOptions options;
  options.constants = {{"n", "8"}, {"r", "2"}, {"sizes", "[2, 4]"}};
  const Traced program(text, options);
  ASSERT_EQ(program.errors, "");
  EXPECT_EQ(program.module->find_entry("f")
                ->graph.type(program.module->find_entry("f")->graph.results[0].value)
                .str(),
            "f32[2, 4]");
  options.constants = {{"n", "2.5"}};
  EXPECT_EQ(Traced(text, options).errors, "--set n=2.5: `n` takes an int\n");
  options.constants = {{"size", "3"}};
  EXPECT_EQ(Traced(text, options).errors,
            "--set size=3: the program has no const `size`; did you mean `sizes`?\n");
}

TEST(Options, FloatTypeReplacesF32) {
  TraceOptions options;
  options.float_type = DType::F64;
  const Traced program(
      "hyper lr: f32 = 0.1\nmodel f(x: f32[2, 3], i: i32[2]) { return dense(x, 2) + one_hot(i, 2) * lr }",
      options);
  ASSERT_EQ(program.errors, "");
  for (const Variable& v : program.module->variables) EXPECT_NE(v.type.dtype, DType::F32) << v.name;
  for (const Entry& e : program.module->entries)
    for (const NodeId n : e.graph.nodes())
      for (const TensorType& t : e.graph[n].types) EXPECT_NE(t.dtype, DType::F32);
}

TEST(Options, KeptCallsAreSpecializedAndShared) {
  TraceOptions options;
  options.kept_calls = {"softmax", "dropout", "dense"};
  const Traced program(R"(
model f(x: f32[4, 3]) {
  y = softmax(softmax(x)) + softmax(x, axis = 0)
  return y + dropout(dense(y, 3))
}
train t(x: f32[4, 3]) -> f32 { return sum(softmax(dropout(f(x)))) })",
                       options);
  ASSERT_EQ(program.errors, "");
  Names functions;
  for (const Function& f : program.module->functions) functions.push_back(f.name + " = " + f.callee);
  // Only functions of their operands are kept, so no dense; dropout draws in training.
  EXPECT_EQ(std::count(functions.begin(), functions.end(), "softmax = softmax"), 1);
  EXPECT_EQ(std::count(functions.begin(), functions.end(), "softmax.1 = softmax"), 1);
  // Training makes no difference to softmax, so no third one.
  EXPECT_EQ(std::count(functions.begin(), functions.end(), "softmax.2 = softmax"), 0);
  EXPECT_EQ(program.count("f", Op::Call), 3);
  EXPECT_EQ(
      std::count_if(functions.begin(), functions.end(), [](auto& f) { return f.find("dense") != f.npos; }),
      0);
}

}  // namespace
}  // namespace nncc
