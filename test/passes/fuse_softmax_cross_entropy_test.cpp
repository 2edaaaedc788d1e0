// What fuse-softmax-cross-entropy makes computes the same, and goes on being right where a softmax has
// underflowed.
#include <fstream>
#include <sstream>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "passes/claimed_calls.h"
#include "passes/fuse_softmax_cross_entropy.h"
#include "test/passes/graphs.h"

namespace nncc::test {
namespace {

std::unique_ptr<Module> read_example(const std::string& name) {
  std::stringstream text;
  text << std::ifstream(NNCC_TEST_DIR "/fuse-softmax-cross-entropy/" + name).rdbuf();
  SourceManager sources;
  Diagnostics diags;
  auto module = parse_nnir(sources.add(name, text.str()), diags);
  EXPECT_TRUE(module);
  return module;
}

constexpr const char* kFuse = "fuse-softmax-cross-entropy";

TEST(FuseSoftmaxCrossEntropy, computes_the_same) {
  for (const auto& [file, entry] :
       {std::pair{"labels.nnir", "keep"}, std::pair{"distribution.nnir", "evaluate"}}) {
    const auto before = read_example(file);
    Module after = *before;
    run_passes(after, kFuse);
    std::mt19937 random(3);
    std::vector<Literal> arguments = random_arguments(before->find_entry(entry)->graph, random);
    for (int64_t i = 0; i < arguments[1].num_elements(); ++i) {
      // A label below 3, or a weight that may be 0.
      if (arguments[1].is_float())
        arguments[1].set(i, std::max(0.0, arguments[1].real(i)));
      else
        arguments[1].set_int(i, i % 3);
    }
    const auto expected = Evaluator(*before).run(*before->find_entry(entry), arguments);
    const auto found = Evaluator(after).run(*after.find_entry(entry), arguments);
    for (size_t i = 0; i < found.size(); ++i) expect_close(expected[i], found[i], 1e-13, file);
  }
}

TEST(FuseSoftmaxCrossEntropy, stands_scores_of_any_size) {
  Module module = *read_example("labels.nnir");
  run_passes(module, std::string(kFuse) + ",inline,autodiff,canonicalize,dce");
  Evaluator session(module);
  Literal scores({DType::F32, {8, 3}});
  for (int64_t i = 0; i < 24; ++i) scores.set(i, i % 3 == 0 ? 1000 : i % 3 == 1 ? -1000 : 0);
  session.variable("w") = scores;
  const Literal labels = Literal::splat_int({DType::I32, {8}}, 1);
  const auto results = session.run(*module.find_entry("fit"), std::vector{labels});
  EXPECT_EQ(results[0].real(0), 2000);
  // (softmax - one_hot) / n, stored by the entry's update.
  const Literal& gradient = session.variable("w");
  for (int64_t i = 0; i < 24; ++i) EXPECT_EQ(gradient.real(i), i % 3 == 0 ? 0.125 : i % 3 == 1 ? -0.125 : 0);
}

// A class that cannot be and is not expected counts nothing.
TEST(FuseSoftmaxCrossEntropy, takes_no_weight_times_no_probability_for_nothing) {
  Module module = *read_example("distribution.nnir");
  run_passes(module, kFuse);
  Literal scores({DType::F32, {8, 3}}), target({DType::F32, {8, 3}});
  for (int64_t i = 0; i < 24; ++i) {
    scores.set(i, i % 3 == 0 ? -INFINITY : 0);
    target.set(i, i % 3 == 1 ? 1 : 0);
  }
  const auto results = Evaluator(module).run(module.entries[0], std::vector{scores, target});
  for (int64_t i = 0; i < 8; ++i) EXPECT_NEAR(results[0].real(i), std::log(2), 1e-15);
}

// What the library says a softmax and a cross_entropy are is what the pass knows.
TEST(FuseSoftmaxCrossEntropy, knows_the_library) {
  SourceManager sources;
  Diagnostics diags;
  const auto program =
      parse_program(NNCC_TEST_DIR "/fuse-softmax-cross-entropy/Inputs/losses.nn", sources, diags);
  ASSERT_TRUE(program);
  TraceOptions options;
  options.kept_calls.insert(std::begin(kClaimedCalls), std::end(kClaimedCalls));
  const auto before = trace_program(*program, options, diags);
  ASSERT_TRUE(before);
  Module after = *before;
  PassContext context(PassOptions{}, diags);
  fuse_softmax_cross_entropy(after, context);
  ASSERT_TRUE(verify(after).empty());
  int models = 0;
  std::mt19937 random(7);
  for (const Entry& entry : before->entries) {
    if (entry.kind != EntryKind::Model) continue;
    ++models;
    std::vector<Literal> arguments = random_arguments(entry.graph, random);
    for (int64_t i = 0; i < arguments[1].num_elements(); ++i) {
      if (arguments[1].is_float())
        arguments[1].set(i, std::abs(arguments[1].real(i)));
      else
        arguments[1].set_int(i, i % 3);
    }
    const auto expected = Evaluator(*before).run(entry, arguments);
    const auto found = Evaluator(after).run(*after.find_entry(entry.name), arguments);
    expect_close(expected[0], found[0], 1e-13, entry.name);
  }
  EXPECT_EQ(context.statistics["losses fused"], models);
}

}  // namespace
}  // namespace nncc::test
