// Text to tokens, one at a time: a file is never held as tokens, however long it is.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "ir/diagnostic.h"

namespace nncc {

enum class TokenKind : uint8_t {
  Word,    // a name or a word of the grammar
  Int,     // value in `integer`
  Float,   // value in `real`; `inf` is a word
  String,  // decoded by decode_string
  LeftParen,
  RightParen,
  LeftBracket,
  RightBracket,
  LeftBrace,
  RightBrace,
  Comma,
  Colon,
  Dot,
  DotDot,
  Arrow,
  Pipe,
  Assign,
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  Plus,
  Minus,
  Star,
  Slash,
  At,
  StarStar,
  Invalid,  // what could not be read; reported already
  End,
};

struct Token {
  TokenKind kind = TokenKind::End;
  bool newline_before = false;  // a line ended between the last token and this one
  bool first_in_line = false;   // nothing, not even blanks, stands before it on its line
  bool blank_before = false;    // an empty line stands before it
  uint32_t begin = 0;           // bytes of the file
  uint32_t end = 0;
  uint64_t integer = 0;
  double real = 0;
};

// A comment as the lexer sees it; the parser decides what it belongs to.
struct LexedComment {
  std::string text;  // without the slashes and without blanks at the end
  uint32_t begin = 0;
  bool own_line = false;      // nothing but blanks stands before it on its line
  bool blank_before = false;  // an empty line stands before it
};

class Lexer {
 public:
  // The text must be UTF-8 (anything else is reported as stray characters).
  Lexer(const SourceFile& file, Diagnostics& diags);

  // The next token. Comments met on the way are appended to `comments`.
  Token next(std::deque<LexedComment>& comments);

  std::string_view text(const Token& t) const {
    return std::string_view(file_.text).substr(t.begin, t.end - t.begin);
  }

 private:
  void skip_blanks(Token& token, std::deque<LexedComment>& comments);
  void number(Token& token);
  void string(Token& token);
  void stray(Token& token);
  Token& finish(Token& token, TokenKind kind, size_t length);
  void error(Token& token, std::string message);
  bool at(std::string_view s) const { return std::string_view(text_).substr(pos_).starts_with(s); }
  char peek(size_t ahead = 0) const { return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0'; }

  const SourceFile& file_;
  Diagnostics& diags_;
  std::string_view text_;
  size_t pos_ = 0;
  bool line_started_ = false;  // a token stands on the current line
};

// What a string token (with its quotes) says. The lexer has checked its escapes: \" \\ \n \t.
std::string decode_string(std::string_view quoted);
// The string as a token that decodes to it.
std::string encode_string(std::string_view);

}  // namespace nncc
