#include "ir/diagnostic.h"

#include <gtest/gtest.h>

namespace nncc {
namespace {

std::string printed(const Diagnostics& diags) {
  std::string text;
  llvm::raw_string_ostream os(text);
  diags.print(os);
  return os.str();
}

// A file, and ranges of it found by their text.
struct Source {
  SourceManager sources;
  const SourceFile& file;
  Diagnostics diags;
  explicit Source(std::string text) : file(sources.add("m.nn", std::move(text))) {}
  SourceRange at(std::string_view part) const {
    const auto begin = static_cast<uint32_t>(file.text.find(part));
    return {&file, begin, begin + static_cast<uint32_t>(part.size())};
  }
};

TEST(Diagnostics, UnderlinesTheRange) {
  Source s("model f(x) {\n  y = dense(x, -1)\n}\n");
  s.diags.error(s.at("-1"), "found -1").note(s.at("model"), "in here").note("without a place");
  EXPECT_EQ(printed(s.diags),
            "m.nn:2:16: error: found -1\n"
            "   2 |   y = dense(x, -1)\n"
            "     |                ^~\n"
            "m.nn:1:1: note: in here\n"
            "   1 | model f(x) {\n"
            "     | ^~~~~\n"
            "note: without a place\n");
}

TEST(Diagnostics, CountsTabsAndWideCharacters) {
  Source s("\ta = \"日本é\" + b\n");
  s.diags.error(s.at("b"), "x");
  EXPECT_EQ(printed(s.diags),
            "m.nn:1:19: error: x\n"
            "   1 |     a = \"日本é\" + b\n"
            "     |                   ^\n");
}

TEST(Diagnostics, ShowsControlCharactersByCode) {
  Source s("a\x1B[31m = b\n");
  s.diags.warning(s.at("b"), "odd\x07");
  EXPECT_EQ(printed(s.diags),
            "m.nn:1:10: warning: odd<07>\n"
            "   1 | a<1B>[31m = b\n"
            "     |             ^\n");
}

TEST(Diagnostics, EndsAtTheLine) {
  Source s("a = (\nb\n");
  s.diags.error(s.at("(\nb"), "two lines");
  s.diags.error({&s.file, 8, 8}, "the end");
  EXPECT_EQ(printed(s.diags),
            "m.nn:1:5: error: two lines\n   1 | a = (\n     |     ^\n"
            "m.nn:3:1: error: the end\n   3 | \n     | ^\n");
}

TEST(Diagnostics, CutsLongLines) {
  Source s(std::string(10'000'000, 'x') + "@@" + std::string(10'000'000, 'y'));
  s.diags.error(s.at("@@"), "here");
  const std::string text = printed(s.diags);
  EXPECT_LT(text.size(), 400u);
  EXPECT_NE(text.find("... xxx"), std::string::npos);
  EXPECT_NE(text.find("yyy ...\n"), std::string::npos);
  const size_t at = text.find("@@"), caret = text.find("^~\n");
  ASSERT_NE(at, std::string::npos);
  ASSERT_NE(caret, std::string::npos);
  const auto column = [&](size_t i) { return i - text.rfind('\n', i); };
  EXPECT_EQ(column(at), column(caret));
}

TEST(Diagnostics, StopsAfterTheLimitAndRepeatsNothing) {
  Diagnostics diags(3);
  for (int i = 0; i < 5; ++i) diags.error("e" + std::to_string(i)).note("n");
  EXPECT_EQ(diags.error_count(), 5);
  EXPECT_EQ(printed(diags),
            "error: e0\nnote: n\nerror: e1\nnote: n\nerror: e2\nnote: n\nand 2 more errors\n");
  Diagnostics twice;
  twice.error("same");
  twice.error("same");
  EXPECT_EQ(printed(twice), "error: same\n");
}

TEST(Diagnostics, CallStackIsInnermostFirst) {
  Source s("f g\n");
  const auto outer = std::make_shared<CallFrame>(CallFrame{s.at("f"), "outer", nullptr});
  const auto inner = std::make_shared<CallFrame>(CallFrame{s.at("g"), "inner", outer});
  s.diags.error("e").call_stack({s.at("g"), inner});
  ASSERT_EQ(s.diags.all().front().notes.size(), 2u);
  EXPECT_EQ(s.diags.all().front().notes[0].message, "in the call of `inner`");
  EXPECT_EQ(s.diags.all().front().notes[1].message, "in the call of `outer`");
}

class ColorStream : public llvm::raw_string_ostream {
 public:
  using raw_string_ostream::raw_string_ostream;
  bool has_colors() const override { return true; }
};

TEST(Diagnostics, HasColorsWhereTheStreamDoes) {
  Diagnostics diags;
  diags.error("e");
  std::string text;
  ColorStream os(text);
  diags.print(os);
  EXPECT_EQ(os.str().find("\x1B[") != std::string::npos, std::getenv("NO_COLOR") == nullptr);
}

TEST(NearestName, SuggestsWhatIsNear) {
  const std::vector<std::string> names = {"softmax", "log_softmax", "relu", "elu", "x"};
  EXPECT_EQ(nearest_name("sofmax", names), "softmax");
  EXPECT_EQ(nearest_name("Relu", names), "relu");
  EXPECT_EQ(nearest_name("X", names), "x");
  EXPECT_EQ(nearest_name("y", names), "");
  EXPECT_EQ(nearest_name("banana", names), "");
  EXPECT_EQ(nearest_name(std::string(1 << 20, 'a'), names), "");
}

TEST(RunTool, TurnsExceptionsIntoExitStatus) {
  EXPECT_EQ(run_tool("tool", [] { return 1; }), 1);
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_tool("tool", []() -> int { NNCC_UNREACHABLE("oops"); }), 70);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("tool: internal error: "), std::string::npos);
}

}  // namespace
}  // namespace nncc
