// Entry functions, tables and linking, on modules planned by hand.
#include <algorithm>
#include <cstring>
#include <thread>

#include "support/compiled_model.h"

namespace nncc::test {
namespace {

std::unique_ptr<Module> parse(const std::string& text) {
  SourceManager sources;
  Diagnostics diags;
  auto module = parse_nnir(sources.add("test.nnir", text), diags);
  EXPECT_TRUE(module != nullptr && !diags.has_errors()) << messages(diags);
  return module;
}

// `use` returns x + w * 2 and counts its calls; w * 2 is hoisted. `step` subtracts its gradient from w, in
// place.
constexpr const char* kHandPlanned = R"(
module @hand variables 256 {
  variable @w : f32[4] parameter offset 0 = dense<1, 2, 3, 4>
  variable @w2 : f32[4] hoisted offset 64
  variable @count : i64 counter offset 128
  variable @seed : i64 seed offset 192

  kernel @double(%w: f32[4]) -> (result: f32[4]) {
    %y = add %w, %w : f32[4]
    return %y
  }
  kernel @add(%x: f32[4], %y: f32[4]) -> (result: f32[4]) {
    %z = add %x, %y : f32[4]
    return %z
  }
  kernel @next(%n: i64) -> (result: i64) {
    %one = constant {value = 1} : i64
    %m = add %n, %one : i64
    return %m
  }
  kernel @descend(%w: f32[4], %g: f32[4]) -> (result: f32[4], sum: f32) {
    %v = sub %w, %g : f32[4]
    %s = reduce_sum %g {axes = [0]} : f32
    return %v, %s
  }
  kernel @shift(%x: f32[4], %c: f32[4]) -> (result: f32[4]) {
    %z = sub %x, %c : f32[4]
    return %z
  }

  entry @use model arena 128 (%x: f32[4] at input[0]+0) -> (result: f32[4]) {
    %w2 = variable {symbol = @w2} : f32[4] at variables+64
    %n = variable {symbol = @count} : i64 at variables+128
    %ten = constant {value = dense<10, 20, 30, 40>} : f32[4] at constants+64
    %a = kernel %x, %ten {symbol = @shift} : f32[4] at arena+64
    %r = kernel %a, %w2 {symbol = @add} : f32[4] at output[0]+0
    %m = kernel %n {symbol = @next} : i64 at variables+128
    update @count = %m
    return %r
  } prepare {
    %w = variable {symbol = @w} : f32[4] at variables+0
    %d = kernel %w {symbol = @double} : f32[4] at variables+64
    update @w2 = %d
    return
  }
  entry @init init () -> () {
    return
  }
  entry @step train (%g: f32[4] at input[0]+0) -> (sum: f32) {
    %w = variable {symbol = @w} : f32[4] at variables+0
    %v:2 = kernel %w, %g {symbol = @descend} : f32[4], f32 at variables+0, output[0]+0
    update @w = %v#0
    return %v#1
  }
}
)";

Literal vector(std::vector<double> values) {
  TensorType type{DType::F32, {static_cast<int64_t>(values.size())}};
  return Literal::floats(type, std::move(values));
}

TEST(Entry, RunsKernelsInOrderAndPreparesAgainAfterAStep) {
  auto module = parse(kHandPlanned);
  ASSERT_TRUE(module);
  CompiledModel model(*module);
  ASSERT_TRUE(model);
  CompiledSession session(model);
  EXPECT_EQ(session.run("use", {vector({10, 20, 30, 40})})[0], vector({2, 4, 6, 8}));
  EXPECT_EQ(session.variable("count").integer(0), 1);
  EXPECT_EQ(session.run("step", {vector({1, 1, 1, 1})})[0].real(0), 4);
  EXPECT_EQ(session.variable("w"), vector({0, 1, 2, 3}));
  EXPECT_EQ(session.run("use", {vector({10, 20, 30, 40})})[0], vector({0, 2, 4, 6}));
  EXPECT_EQ(session.variable("count").integer(0), 2);
}

TEST(Entry, TablesSayWhatTheModuleIs) {
  auto module = parse(kHandPlanned);
  ASSERT_TRUE(module);
  CompiledModel model(*module);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->abi_version, NN_ABI_VERSION);
  EXPECT_EQ(model->struct_size, sizeof(nn_model));
  EXPECT_STREQ(model->name, "hand");
  EXPECT_EQ(model->num_variables, 4);
  EXPECT_EQ(model->num_entries, 3);
  EXPECT_EQ(model->variable_bytes, 256u);
  EXPECT_EQ(model->arena_bytes, 128u);
  EXPECT_EQ(model->missing_cpu_feature(&*model), nullptr);
  const nn_variable_info& w = model->variables[0];
  EXPECT_STREQ(w.tensor.name, "w");
  EXPECT_EQ(w.tensor.dtype, NN_F32);
  ASSERT_EQ(w.tensor.rank, 1);
  EXPECT_EQ(w.tensor.shape[0], 4);
  EXPECT_EQ(w.tensor.bytes, 16u);
  EXPECT_EQ(w.kind, NN_PARAMETER);
  const float expected[] = {1, 2, 3, 4};
  EXPECT_EQ(std::memcmp(w.initial, expected, sizeof expected), 0);
  EXPECT_EQ(model->variables[1].kind, NN_HOISTED);
  EXPECT_EQ(model->variables[1].offset, 64u);
  EXPECT_EQ(model->variables[1].initial, nullptr);

  // `init` is last, whatever its place in the module.
  EXPECT_STREQ(model->entries[0].name, "use");
  EXPECT_STREQ(model->entries[1].name, "step");
  EXPECT_STREQ(model->entries[2].name, "init");
  EXPECT_EQ(model->entries[2].kind, NN_ENTRY_INIT);
  const nn_entry_info& use = model->entries[0];
  EXPECT_EQ(use.kind, NN_ENTRY_MODEL);
  EXPECT_EQ(use.changes_weights, 0);
  EXPECT_NE(use.prepare, nullptr);
  EXPECT_EQ(use.num_kernels, 3);
  EXPECT_STREQ(use.inputs[0].name, "x");
  EXPECT_STREQ(use.outputs[0].name, "result");
  const nn_entry_info& step = model->entries[1];
  EXPECT_EQ(step.changes_weights, 1);
  EXPECT_EQ(step.prepare, nullptr);
  ASSERT_EQ(step.num_outputs, 1);
  EXPECT_EQ(step.outputs[0].rank, 0);
  EXPECT_EQ(step.kernels[0].bytes, 16u + 16 + 16 + 4);
}

TEST(Entry, ProfiledCallsTheHookAfterEachKernel) {
  auto module = parse(kHandPlanned);
  ASSERT_TRUE(module);
  CompiledModel model(*module);
  ASSERT_TRUE(model);
  CompiledSession session(model);
  std::vector<int32_t> seen;
  float x[4] = {10, 20, 30, 40}, y[4];
  const void* inputs[] = {x};
  void* outputs[] = {y};
  auto hook = [](void* user, int32_t kernel) { static_cast<std::vector<int32_t>*>(user)->push_back(kernel); };
  ASSERT_EQ(model->run_profiled(session.get(), model.entry("use"), inputs, outputs, hook, &seen), NN_OK);
  EXPECT_EQ(seen, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(y[3], 8);
}

// More tensors than an entry keeps buffers for: x + 1 + 1 + … through a chain of 200 places.
TEST(Entry, ManyPlaces) {
  constexpr int kSteps = 200;
  std::string text =
      "module @chain variables 8 {\n  variable @seed : i64 seed offset 0\n"
      "  kernel @inc(%x: f32[2]) -> (result: f32[2]) {\n    %one = constant {value = 1} : f32[2]\n"
      "    %y = add %x, %one : f32[2]\n    return %y\n  }\n  entry @run model arena " +
      std::to_string(kSteps * 64 + 64) + " (%v0: f32[2] at input[0]+0) -> (result: f32[2]) {\n";
  for (int i = 1; i <= kSteps; ++i)
    text += "    %v" + std::to_string(i) + " = kernel %v" + std::to_string(i - 1) +
            " {symbol = @inc} : f32[2] at " +
            (i == kSteps ? std::string("output[0]+0") : "arena+" + std::to_string(i * 64)) + "\n";
  text +=
      "    return %v" + std::to_string(kSteps) + "\n  }\n  entry @init init () -> () {\n    return\n  }\n}\n";
  auto module = parse(text);
  ASSERT_TRUE(module);
  CompiledModel model(*module);
  ASSERT_TRUE(model);
  CompiledSession session(model);
  EXPECT_EQ(session.run("run", {vector({0, 5})})[0], vector({200, 205}));
}

// Each library has a runtime and kernels of its own, though their symbols have the same names.
TEST(Entry, TwoModelsInOneProcess) {
  auto module = parse(kHandPlanned);
  ASSERT_TRUE(module);
  CompiledModel first(*module);
  module->find_variable("w")->initial = vector({5, 5, 5, 5});
  CompiledModel second(*module);
  ASSERT_TRUE(first && second);
  EXPECT_NE(&*first, &*second);
  EXPECT_NE(first->run, second->run);
  CompiledSession a(first), b(second), c(first);
  const Literal ten = vector({10, 20, 30, 40}), one = vector({1, 1, 1, 1});
  a.run("step", {one});
  EXPECT_EQ(b.run("use", {ten})[0], vector({10, 10, 10, 10}));
  EXPECT_EQ(a.run("use", {ten})[0], vector({0, 2, 4, 6}));
  EXPECT_EQ(c.run("use", {ten})[0], vector({2, 4, 6, 8}));
}

TEST(Compile, EqualKernelsAreCompiledOnceAndFoundInTheCache) {
  auto module = parse(kHandPlanned);
  ASSERT_TRUE(module);
  // @shift under another name is the same kernel.
  Function copy = *module->find_function("shift");
  copy.name = "shift.1";
  module->functions.push_back(copy);
  Entry again = *module->find_entry("use");
  again.name = "again";
  for (NodeId id : again.graph.nodes())
    if (again.graph[id].op == Op::Kernel && again.graph[id].attributes.string(Attr::Symbol) == "shift")
      again.graph.set_attribute(id, Attr::Symbol, std::string("shift.1"));
  module->entries.push_back(again);

  TemporaryFolder folder;
  Diagnostics diags;
  auto target = find_target("host", diags);
  CodegenOptions options;
  options.target = target.get();
  options.cache_dir = folder.file("cache");
  auto first = compile_module(*module, options, diags);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->kernels_compiled, 5);
  EXPECT_EQ(first->kernels_cached, 0);
  auto second = compile_module(*module, options, diags);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->kernels_compiled, 0);
  EXPECT_EQ(second->kernels_cached, 5);
  EXPECT_EQ(first->objects, second->objects);
  options.threads = 1;
  EXPECT_EQ(compile_module(*module, options, diags)->kernels_cached, 0);
}

TEST(Link, OutputIsTheSameEveryTime) {
  auto module = parse(kHandPlanned);
  ASSERT_TRUE(module);
  Diagnostics diags;
  auto target = find_target("host", diags);
  CodegenOptions options;
  options.target = target.get();
  auto a = compile_module(*module, options, diags), b = compile_module(*module, options, diags);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->objects, b->objects);
}

TEST(Link, SeveralThreadsMayLinkAtOnce) {
  auto module = parse(kHandPlanned);
  ASSERT_TRUE(module);
  Diagnostics diags;
  auto target = find_target("host", diags);
  CodegenOptions options;
  options.target = target.get();
  auto compiled = compile_module(*module, options, diags);
  ASSERT_TRUE(compiled);
  TemporaryFolder folder;
  std::vector<int> linked(4);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      Diagnostics own;
      linked[i] = link_shared_library(*compiled, *target, folder.file(std::to_string(i) + ".so"), own);
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(linked, std::vector<int>(4, 1));
}

}  // namespace
}  // namespace nncc::test
