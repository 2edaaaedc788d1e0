// rematerialize on random training entries: the budget it names is enough, and not a bit changes.
#include <map>

#include "passes/graph_util.h"
#include "test/passes/planned_session.h"
#include "test/passes/random_module.h"

namespace nncc::test {
namespace {

// The message of the only error, or nothing.
std::string run_with_budget(Module& module, int64_t budget) {
  Diagnostics diags;
  PipelineOptions options;
  options.verify_each = true;
  options.pass.memory_budget = budget;
  const auto pipeline = parse_pipeline("rematerialize,plan-memory", diags);
  run_pipeline(module, pipeline, options, diags, llvm::errs());
  EXPECT_LE(diags.error_count(), 1);
  return diags.has_errors() ? diags.all()[0].message : "";
}

void expect_identical(const Module& a, const Module& b, unsigned seed) {
  std::mt19937 random(seed);
  PlannedSession one(a), other(b);
  for (int step = 0; step < 2; ++step) {
    const auto arguments = random_arguments(a.entries[0].graph, random);
    const auto results = one.run(a.entries[0], arguments);
    const auto others = other.run(b.entries[0], arguments);
    for (size_t i = 0; i < results.size(); ++i)
      EXPECT_TRUE(identical(results[i], others[i])) << "result " << i;
  }
  for (const Variable& variable : a.variables)
    EXPECT_TRUE(identical(one.variable(variable.name), other.variable(variable.name))) << variable.name;
}

TEST(Rematerialize, keeps_every_bit_within_the_least_budget) {
  int smaller = 0;
  for (unsigned seed = 0; seed < 100 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Module module = RandomModule(seed).make(120);
    run_passes(module, "fuse-kernels");
    if (HasFatalFailure()) return;
    Module kept = module;
    EXPECT_EQ(run_with_budget(kept, 0), "");
    if (kept.entries[0].arena_bytes <= 1) continue;

    Module refused = module;
    const std::string message = run_with_budget(refused, 1);
    const std::string before = "the least that would do is ";
    ASSERT_NE(message.find(before), message.npos) << message;
    const int64_t least = std::stoll(message.substr(message.find(before) + before.size()));
    EXPECT_LE(least, kept.entries[0].arena_bytes);
    EXPECT_NE(run_with_budget(refused = module, least - 1), "");

    EXPECT_EQ(run_with_budget(module, least), "");
    EXPECT_EQ(module.entries[0].arena_bytes, least);
    expect_identical(kept, module, seed);
    smaller += least < kept.entries[0].arena_bytes;
  }
  EXPECT_GE(smaller, 10);
}

}  // namespace
}  // namespace nncc::test
