// The list of the library's functions, and docs/library.md, which is made from it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "frontend/builtins.h"
#include "frontend/frontend.h"
#include "frontend/library.h"

namespace nncc {
namespace {

using Texts = std::vector<std::string>;

LibraryFunction find(const std::string& name) {
  for (const LibrarySection& section : library_sections())
    for (const LibraryFunction& f : section.functions)
      if (f.name == name) return f;
  ADD_FAILURE() << "no function " << name;
  return {};
}

TEST(Library, SaysWhatItsTextSays) {
  const LibraryFunction dense = find("dense");
  EXPECT_EQ(dense.signature,
            "fn dense(x: f32[..s, k], units: int, bias: bool = true, init: fn = glorot_uniform) -> f32[..s, "
            "units]");
  EXPECT_EQ(dense.comment, (Texts{"x W + b on the last axis: [.., k] to [.., units]."}));
  EXPECT_EQ(dense.examples,
            (Texts{"dense(x, 5) of x: f32[3, 4]", "dense(x, 2, bias = false) of x: f32[2, 3, 4]"}));
  EXPECT_EQ(dense.variables, (Texts{"param weight: f32[k, units]", "param bias: f32[units]"}));
  EXPECT_EQ(find("lstm_cell").num_results, 2u);
  EXPECT_EQ(find("batch_norm").variables.back(), "state variance: f32[c]");
  EXPECT_EQ(find("adam").signature.substr(0, 15), "optimizer adam(");
}

TEST(Library, DocumentsAndShowsEveryFunction) {
  for (const LibrarySection& section : library_sections()) {
    EXPECT_FALSE(section.comment.empty()) << section.name;
    for (const LibraryFunction& f : section.functions) {
      EXPECT_FALSE(f.name.starts_with('_')) << f.name;
      EXPECT_FALSE(f.comment.empty()) << f.name;
      EXPECT_FALSE(f.examples.empty()) << f.name;
      for (const std::string& example : f.examples)
        EXPECT_NE(example.find(f.name), std::string::npos) << f.name << ": " << example;
    }
  }
}

TEST(Library, DocumentsEveryBuiltInFunction) {
  std::ifstream in(NNCC_SOURCE_DIR "/docs/library.md");
  const std::string page(std::istreambuf_iterator<char>(in), {});
  const std::string head = page.substr(0, page.find("<!--"));
  for (const Builtin& b : all_builtins()) {
    bool found = false;
    for (const std::string before : {"`", " "})
      for (const std::string after : {"(", " ", "`"})
        found = found || head.find(before + b.name + after) != std::string::npos;
    EXPECT_TRUE(found) << b.name;
  }
}

TEST(Library, ExamplesAreRight) {
  for (const LibrarySection& section : library_sections())
    for (const LibraryFunction& f : section.functions)
      for (const std::string& example : f.examples) {
        SourceManager sources;
        Diagnostics diags;
        const auto program = parse_program_text(f.name, example_program(f, example, 0), sources, diags);
        const auto module = program ? trace_program(*program, {}, diags) : nullptr;
        std::string errors;
        for (const Diagnostic& d : diags.all()) errors += d.message + "\n";
        EXPECT_TRUE(module) << example_program(f, example, 0) << errors;
      }
}

// The hand-written head of the page, and the functions by section.
std::string document(const std::string& page) {
  const std::string mark = "DocumentationIsUpToDate. -->\n";
  std::string text = page.substr(0, page.find(mark)) + mark;
  for (const LibrarySection& section : library_sections()) {
    text += "\n## " + section.name + "\n\n";
    text[text.rfind("## ") + 3] = static_cast<char>(std::toupper(section.name[0]));
    for (const std::string& line : section.comment) text += line + "\n";
    for (const LibraryFunction& f : section.functions) {
      text += "\n### " + f.name + "\n\n`" + f.signature + "`\n\n";
      for (const std::string& line : f.comment) text += line + "\n";
      if (!f.variables.empty()) {
        text += "\nIt has ";
        for (const std::string& v : f.variables) text += (&v == &f.variables[0] ? "`" : ", `") + v + "`";
        text += ".\n";
      }
      text += "\nExample: ";
      for (const std::string& e : f.examples) text += (&e == &f.examples[0] ? "`" : "; `") + e + "`";
      text += "\n";
    }
  }
  return text;
}

TEST(Library, DocumentationIsUpToDate) {
  const std::string path = NNCC_SOURCE_DIR "/docs/library.md";
  std::ifstream in(path);
  const std::string page(std::istreambuf_iterator<char>(in), {});
  const std::string expected = document(page);
  if (std::getenv("NNCC_UPDATE_DOCS"))
    std::ofstream(path) << expected;
  else
    EXPECT_EQ(page, expected)
        << "run NNCC_UPDATE_DOCS=1 build/release/test/bin/frontend_test --gtest_filter='Library.*'";
}

}  // namespace
}  // namespace nncc
