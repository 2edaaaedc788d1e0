// Printing a tree and parsing that gives the same tree.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "dump_tree.h"
#include "frontend/parser.h"

namespace nncc {
namespace {

namespace fs = std::filesystem;

std::string print_errors(const Diagnostics& diags) {
  std::string text;
  llvm::raw_string_ostream os(text);
  diags.print(os);
  return os.str();
}

// The printed form of `text`, which must parse, and whose printed form must have the same tree and print
// alike.
std::string round_trip(const std::string& text) {
  SourceManager sources;
  Diagnostics diags;
  const auto file = parse_file(sources.add("in.nn", text), diags);
  EXPECT_FALSE(diags.has_errors()) << print_errors(diags);
  const std::string printed = print_file(*file);
  const auto again = parse_file(sources.add("printed.nn", printed), diags);
  EXPECT_FALSE(diags.has_errors()) << print_errors(diags);
  EXPECT_EQ(ast::dump(*file), ast::dump(*again)) << printed;
  EXPECT_EQ(print_file(*again), printed);
  return printed;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<fs::path> programs(const char* folder) {
  std::vector<fs::path> result;
  for (const auto& entry : fs::directory_iterator(fs::path(NNCC_SOURCE_DIR) / folder))
    if (entry.path().extension() == ".nn") result.push_back(entry.path());
  return result;
}

TEST(RoundTrip, Zoo) {
  const auto files = programs("examples/zoo");
  EXPECT_GE(files.size(), 26u);
  for (const fs::path& path : files) {
    SCOPED_TRACE(path.string());
    round_trip(read(path));
  }
}

// The library is formatted as the printer does it.
TEST(RoundTrip, StandardLibraryPrintsAsItIs) {
  const auto files = programs("frontend/std");
  EXPECT_EQ(files.size(), 8u);
  for (const fs::path& path : files) {
    SCOPED_TRACE(path.string());
    const std::string text = read(path);
    EXPECT_EQ(round_trip(text), text);
  }
}

TEST(RoundTrip, KeepsCommentsAndBlankLines) {
  const std::string text =
      "// A licence.\n"
      "\n"
      "// About the constant.\n"
      "const a = 1  // behind it\n"
      "\n"
      "fn f(x) {  // behind the brace\n"
      "  // first\n"
      "  y = x\n"
      "\n"
      "  // second\n"
      "\n"
      "  z = y  // behind\n"
      "  // last\n"
      "}\n"
      "\n"
      "fn g(x) { return x }\n"
      "// the end\n";
  EXPECT_EQ(round_trip(text), text);
}

TEST(RoundTrip, MovesCommentsOutOfStatements) {
  EXPECT_EQ(round_trip("fn f(x) {\n\n  y = x\n    // why\n    |> g(1, // one\n  2)\n}\n"),
            "fn f(x) {\n  // why\n  // one\n  y = x |> g(1, 2)\n}\n");
}

TEST(RoundTrip, BreaksLongLines) {
  const std::string name(60, 'a');
  EXPECT_EQ(round_trip("fn f(x) {\n  return x |> " + name + " |> " + name + "(1)\n}\n"),
            "fn f(x) {\n  return x\n      |> " + name + "\n      |> " + name + "(1)\n}\n");
  EXPECT_EQ(round_trip("const c = " + name + "(1, " + name + "(2, 3), 4)\n"),
            "const c = " + name + "(1,\n    " + name + "(2, 3), 4)\n");
  EXPECT_EQ(round_trip("const c = " + name + " + " + name + "\n"),
            "const c = " + name + " +\n    " + name + "\n");
  EXPECT_EQ(
      round_trip("fn f(" + name + ": int, b, c: f32[n], " + name + "x = 1) -> (f32, f32) { return b, c }\n"),
      "fn f(" + name + ": int, b, c: f32[n],\n    " + name + "x = 1) -> (f32, f32) { return b, c }\n");
}

TEST(RoundTrip, Everything) {
  round_trip(
      "import \"a\\\\b.nn\"\r\n"
      "hyper h: f32 = -1.5e-3\n"
      "hyper k = 2\n"
      "const m = -9223372036854775808\n"
      "fn f(q, k: f32[b, ..s, ..], sizes: [[int]], act: fn = relu, eps = 1e-5, t: bool[n]) -> (x: f32, "
      "[int]) {\n"
      "  state s: like(w + 1) = zeros()\n"
      "  if (a and not b == c) or d { return x } else if q > 1 { x = 1 } else { }\n"
      "  for i in 0..n + 1 { for j in [1, 2] { x = x[.., :-1, ::2, 1:3:-1, idx, (a)] } }\n"
      "  h, c = g(scan a, b in x, y axis -1 reverse carry (h = zeros([1, 2]), c = (scan z in y axis 0 { "
      "yield z })) {\n"
      "    yield h, c // tail\n"
      "  }, 1) // after\n"
      "  z = -a ** -b ** 2 @ (b / -c) * ((a + b)) ** 2 <= inf\n"
      "  minimize x |> f over a.b, c with ((p) |> q(1)) |> r\n"
      "}\n");
}

}  // namespace
}  // namespace nncc
