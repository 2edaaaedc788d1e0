// docs/passes.md is what the registry and the headers of the passes say.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "passes/pipelines.h"
#include "passes/rules/rules.h"
#include "test/passes/graphs.h"

namespace nncc::test {
namespace {

std::string read(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The comment at the top of a pass's header: prose, and the example, which is indented, as code.
std::string section(const PassInfo& pass) {
  std::string file(pass.name);
  std::replace(file.begin(), file.end(), '-', '_');
  std::ifstream header(NNCC_SOURCE_DIR "/passes/" + file + ".h");
  std::string text = "## " + std::string(pass.name) + "\n\n", line;
  bool in_code = false, first = true;
  while (std::getline(header, line) && line.rfind("//", 0) == 0) {
    line = line.size() > 3 ? line.substr(3) : "";
    const std::string title = std::string(pass.name) + ": ";
    if (first) {
      EXPECT_EQ(line.rfind(title, 0), 0u) << file << ".h starts with another name than the pass's";
      line = line.substr(std::min(line.size(), title.size()));
      line[0] = static_cast<char>(std::toupper(line[0]));
      first = false;
    }
    for (const char* part : {"Requires:", "Ensures:"})
      if (line.rfind(part, 0) == 0)
        line = "\n**" + std::string(part) + "**" + line.substr(std::string(part).size());
    const bool code = line.rfind("  ", 0) == 0;
    if (code != in_code) text += code ? "\n```\n" : "```\n\n";
    in_code = code;
    text += line + "\n";
  }
  if (in_code) text += "```\n";
  EXPECT_FALSE(first) << file << ".h is missing or has no comment at its top";
  EXPECT_NE(text.find("**Requires:**"), std::string::npos)
      << file << ".h does not say what the pass requires";
  EXPECT_NE(text.find("**Ensures:**"), std::string::npos) << file << ".h does not say what the pass ensures";
  return text + "\n";
}

std::string document() {
  std::string text =
      "# Passes\n\n"
      "A pass takes the module from one state to another; `--passes=` takes a list of them, by name, with "
      "commas between.\n"
      "This page is made from the registry and the headers in `passes/`, by the test `Documentation`.\n\n"
      "## Pipelines\n\n| name | passes |\n|---|---|\n";
  for (const NamedPipeline& pipeline : named_pipelines()) {
    std::string passes(pipeline.passes);
    for (size_t at = 0; (at = passes.find(',', at)) != passes.npos; at += 2) passes.replace(at, 1, ", ");
    text += "| " + std::string(pipeline.name) + " | " + passes + " |\n";
  }
  text += "\nOther orders are fine, but for these:\n\n| pass | comes before | because |\n|---|---|---|\n";
  for (const PassOrder& order : pass_orders())
    text += "| " + std::string(order.before) + " | " + std::string(order.after) + " | " +
            std::string(order.reason) + " |\n";
  text +=
      "\nOne can watch them: `--print-ir-before=PASS`, `--print-ir-after=PASS` (or `all`), "
      "`--stop-after=PASS`,\n"
      "`--dump-dir=FOLDER` (a numbered file for each pass that changed something), `--stats`, "
      "`--time-passes`, `--verify-each`.\n\n";
  for (const PassInfo& pass : all_passes()) text += section(pass);
  text +=
      "## Rules of canonicalize\n\nEach is shown at work under its name in `test/passes/canonicalize/`.\n\n";
  for (const RewriteRule* rule : all_rewrite_rules()) text += "* " + std::string(rule->name) + "\n";
  return text;
}

// Line breaks aside.
std::string words(const std::string& text) {
  std::istringstream in(text);
  std::string result, word;
  while (in >> word) result += word + " ";
  return result;
}

TEST(Documentation, of_passes_is_up_to_date) {
  const std::string path = NNCC_SOURCE_DIR "/docs/passes.md";
  const std::string expected = document();
  if (std::getenv("NNCC_UPDATE_DOCS")) std::ofstream(path) << expected;
  EXPECT_EQ(words(read(path)), words(expected))
      << "run NNCC_UPDATE_DOCS=1 build/release/test/bin/passes_test --gtest_filter='Documentation.*'";
}

}  // namespace
}  // namespace nncc::test
