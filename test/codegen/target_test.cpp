#include <algorithm>

#include "support/compiled_model.h"

namespace nncc::test {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

TEST(Target, LevelsContainEachOther) {
  Diagnostics diags;
  auto v2 = find_target("x86-64-v2", diags), v3 = find_target("x86-64-v3", diags),
       v4 = find_target("x86-64-v4", diags);
  ASSERT_TRUE(v2 && v3 && v4);
  for (const std::string& feature : v2->cpu_features)
    EXPECT_TRUE(contains(v3->cpu_features, feature)) << feature;
  for (const std::string& feature : v3->cpu_features)
    EXPECT_TRUE(contains(v4->cpu_features, feature)) << feature;
  EXPECT_FALSE(contains(v2->cpu_features, "avx"));
  EXPECT_FALSE(contains(v3->cpu_features, "avx512f"));
  EXPECT_EQ(v2->vector_lanes, 4);
  EXPECT_EQ(v3->vector_lanes, 8);
  EXPECT_EQ(v4->vector_lanes, 16);
  EXPECT_EQ(
      v4->halide,
      "x86-64-linux-sse41-avx-avx2-fma-f16c-avx512-avx512_skylake-no_runtime-no_asserts-no_bounds_query-"
      "user_context-disable_llvm_loop_opt");
}

TEST(Target, HostIsOneOfThem) {
  Diagnostics diags;
  auto host = find_target("host", diags);
  ASSERT_TRUE(host) << messages(diags);
  EXPECT_TRUE(host->is_host_architecture);
  EXPECT_TRUE(find_target(host->name, diags));
}

TEST(Target, AnUnknownOneIsAnError) {
  Diagnostics diags;
  EXPECT_FALSE(find_target("x86-64-v9", diags));
  EXPECT_NE(messages(diags).find("unknown target `x86-64-v9`"), std::string::npos);
}

// A model for a processor that has what no processor has: it says so, and no session comes to be.
TEST(Target, AModelForAnotherProcessorRefusesToRun) {
  SourceManager sources;
  Diagnostics diags;
  auto module = parse_nnir(sources.add("m.nnir",
                                       "module @m variables 8 {\n  variable @seed : i64 seed offset 0\n"
                                       "  entry @init init () -> () {\n    return\n  }\n}\n"),
                           diags);
  ASSERT_TRUE(module) << messages(diags);
  auto target = find_target("host", diags);
  target->cpu_features.push_back("avx1024");
  CodegenOptions options;
  options.target = target.get();
  CompiledModel model(*module, options);
  ASSERT_TRUE(model);
  EXPECT_STREQ(model->missing_cpu_feature(&*model), "avx1024");
  nn_session* session = nullptr;
  char error[256] = "";
  EXPECT_EQ(model->create(&*model, nullptr, &session, error, sizeof error), NN_UNSUPPORTED_CPU);
  EXPECT_EQ(session, nullptr);
  EXPECT_NE(std::string(error).find("avx1024"), std::string::npos) << error;
}

}  // namespace
}  // namespace nncc::test
