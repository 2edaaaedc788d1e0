#include "frontend/lexer.h"

#include <gtest/gtest.h>

#include <climits>

namespace nncc {
namespace {

struct Lexed {
  std::vector<Token> tokens;  // without the last, End
  std::vector<std::string> texts;
  std::deque<LexedComment> comments;
  std::vector<std::string> errors;
};

Lexed lex(std::string text) {
  Lexed result;
  SourceManager sources;
  Diagnostics diags;
  Lexer lexer(sources.add("test.nn", std::move(text)), diags);
  for (Token t = lexer.next(result.comments); t.kind != TokenKind::End; t = lexer.next(result.comments)) {
    result.tokens.push_back(t);
    result.texts.emplace_back(lexer.text(t));
  }
  for (const Diagnostic& d : diags.all()) result.errors.push_back(d.message);
  return result;
}

using Texts = std::vector<std::string>;

TEST(Lexer, LongestPunctuationWins) {
  EXPECT_EQ(lex("a**b*c|>d->e==f=g!=h<=i<j..k.l").texts,
            (Texts{"a", "**", "b", "*",  "c", "|>", "d", "->", "e", "==", "f", "=",
                   "g", "!=", "h", "<=", "i", "<",  "j", "..", "k", ".",  "l"}));
}

TEST(Lexer, RangesAreNotFractions) {
  EXPECT_EQ(lex("0..4").texts, (Texts{"0", "..", "4"}));
  EXPECT_EQ(lex("x[..,1:]").texts, (Texts{"x", "[", "..", ",", "1", ":", "]"}));
  EXPECT_EQ(lex("1.5..2.5").texts, (Texts{"1.5", "..", "2.5"}));
}

TEST(Lexer, Numbers) {
  const Lexed l = lex("12 0.5 1e-3 2.5E+2 1_000 .5 3. 9223372036854775807");
  ASSERT_TRUE(l.errors.empty());
  ASSERT_EQ(l.tokens.size(), 8u);
  EXPECT_EQ(l.tokens[0].kind, TokenKind::Int);
  EXPECT_EQ(l.tokens[0].integer, 12u);
  EXPECT_EQ(l.tokens[1].real, 0.5);
  EXPECT_EQ(l.tokens[2].real, 1e-3);
  EXPECT_EQ(l.tokens[3].real, 250);
  EXPECT_EQ(l.tokens[4].integer, 1000u);
  EXPECT_EQ(l.tokens[5].real, 0.5);
  EXPECT_EQ(l.tokens[6].real, 3);
  EXPECT_EQ(l.tokens[7].integer, static_cast<uint64_t>(INT64_MAX));
}

TEST(Lexer, NumbersThatAreNone) {
  EXPECT_EQ(lex("9223372036854775809").errors, (Texts{"the integer does not fit in 64 bits"}));
  EXPECT_EQ(lex("1e999").errors, (Texts{"the number is beyond 64-bit floats; infinity is written `inf`"}));
  EXPECT_EQ(lex("12abc").errors, (Texts{"a number cannot have letters behind it"}));
}

TEST(Lexer, Strings) {
  const Lexed l = lex(R"("same" "a\"b\\c\n\t")");
  ASSERT_EQ(l.texts.size(), 2u);
  EXPECT_EQ(decode_string(l.texts[0]), "same");
  EXPECT_EQ(decode_string(l.texts[1]), "a\"b\\c\n\t");
  EXPECT_EQ(encode_string("a\"b\\c\n\t"), l.texts[1]);
  EXPECT_EQ(lex("\"abc").errors, (Texts{"the string has no closing `\"` on its line"}));
  EXPECT_EQ(lex("\"abc\n\"").errors.size(), 2u);
  EXPECT_EQ(lex("\"\\q\"").errors.size(), 1u);
  EXPECT_EQ(lex(std::string("\"a\0b\"", 5)).errors.size(), 1u);
}

TEST(Lexer, LinesCommentsAndByteOrderMark) {
  const Lexed l = lex("\xEF\xBB\xBF// one\r\na // two\r\n\r\n// three\r\n  b\r\n");
  EXPECT_EQ(l.texts, (Texts{"a", "b"}));
  EXPECT_TRUE(l.errors.empty());
  ASSERT_EQ(l.comments.size(), 3u);
  EXPECT_EQ(l.comments[0].text, " one");
  EXPECT_TRUE(l.comments[0].own_line);
  EXPECT_EQ(l.comments[1].text, " two");
  EXPECT_FALSE(l.comments[1].own_line);
  EXPECT_TRUE(l.comments[2].own_line);
  EXPECT_TRUE(l.comments[2].blank_before);
  EXPECT_TRUE(l.tokens[0].newline_before);
  EXPECT_TRUE(l.tokens[0].first_in_line);
  EXPECT_TRUE(l.tokens[1].newline_before);
  EXPECT_FALSE(l.tokens[1].first_in_line);
  EXPECT_FALSE(l.tokens[1].blank_before);
}

TEST(Lexer, StrayCharacters) {
  EXPECT_EQ(lex("a ; b").errors, (Texts{"unexpected `;`; a statement ends with its line"}));
  EXPECT_EQ(lex("a && b").errors, (Texts{"unexpected `&&`; write `and`"}));
  EXPECT_EQ(lex("a $$$ b").errors, (Texts{"unexpected character `$`"}));
  EXPECT_EQ(lex("é").errors,
            (Texts{"unexpected character `é`; names are made of the letters a to z, digits and `_`"}));
  EXPECT_EQ(lex(std::string(1000, '\0')).errors.size(), 1u);
  EXPECT_EQ(lex("a | b").errors.size(), 1u);
}

}  // namespace
}  // namespace nncc
