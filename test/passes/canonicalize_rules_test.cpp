// The entries of canonicalize/*.nnir on random numbers: each shows its rule at work, and computes the same
// afterwards.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "passes/canonicalize.h"
#include "passes/rules/rules.h"
#include "test/passes/graphs.h"

namespace nncc::test {
namespace {

std::vector<std::filesystem::path> example_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(NNCC_TEST_DIR "/canonicalize"))
    if (file.path().extension() == ".nnir") files.push_back(file.path());
  std::sort(files.begin(), files.end());
  return files;
}

void check_entry(const Entry& entry, std::set<std::string>& shown) {
  SCOPED_TRACE("entry @" + entry.name);
  Module before;
  before.entries.push_back(entry);
  Module after = before;
  Diagnostics diags;
  PassContext context(PassOptions{}, diags);
  const bool changed = canonicalize(after, context);
  ASSERT_TRUE(verify(after).empty()) << to_string(after);

  std::string rule = entry.name;
  std::replace(rule.begin(), rule.end(), '_', '-');
  if (rule.rfind("keeps-", 0) == 0) {
    EXPECT_FALSE(changed) << to_string(after);
    return;
  }
  EXPECT_EQ(context.statistics.count(rule), 1u) << "the rule did not apply";
  EXPECT_LE(after.entries[0].graph.num_nodes(), entry.graph.num_nodes() + 2);
  shown.insert(rule);
  for (unsigned seed = 0; seed < 5; ++seed) {
    std::mt19937 random(seed);
    const auto arguments = random_arguments(entry.graph, random);
    const auto expected = Evaluator(before).run(before.entries[0], arguments);
    const auto found = Evaluator(after).run(after.entries[0], arguments);
    for (size_t i = 0; i < expected.size(); ++i)
      expect_close(expected[i], found[i], 1e-12, "result " + std::to_string(i));
  }
}

TEST(CanonicalizeRules, each_has_an_example_that_computes_the_same) {
  std::set<std::string> shown;
  for (const auto& path : example_files()) {
    SCOPED_TRACE(path.filename().string());
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    SourceManager sources;
    Diagnostics diags;
    const auto module = parse_nnir(sources.add(path.filename().string(), text.str()), diags);
    ASSERT_TRUE(module);
    for (const Entry& entry : module->entries) check_entry(entry, shown);
  }
  for (const RewriteRule* rule : all_rewrite_rules())
    EXPECT_TRUE(shown.count(std::string(rule->name))) << "no example of the rule " << rule->name;
}

}  // namespace
}  // namespace nncc::test
