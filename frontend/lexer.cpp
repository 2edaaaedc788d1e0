#include "frontend/lexer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

namespace nncc {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_word_start(c) || is_digit(c); }

// Longest first where one is the start of another.
struct Punctuation {
  std::string_view text;
  TokenKind kind;
};
constexpr Punctuation kPunctuation[] = {
    {"->", TokenKind::Arrow},     {"|>", TokenKind::Pipe},       {"==", TokenKind::Eq},
    {"!=", TokenKind::Ne},        {"<=", TokenKind::Le},         {">=", TokenKind::Ge},
    {"**", TokenKind::StarStar},  {"..", TokenKind::DotDot},     {"(", TokenKind::LeftParen},
    {")", TokenKind::RightParen}, {"[", TokenKind::LeftBracket}, {"]", TokenKind::RightBracket},
    {"{", TokenKind::LeftBrace},  {"}", TokenKind::RightBrace},  {",", TokenKind::Comma},
    {":", TokenKind::Colon},      {".", TokenKind::Dot},         {"=", TokenKind::Assign},
    {"<", TokenKind::Lt},         {">", TokenKind::Gt},          {"+", TokenKind::Plus},
    {"-", TokenKind::Minus},      {"*", TokenKind::Star},        {"/", TokenKind::Slash},
    {"@", TokenKind::At},
};

// Spellings of other languages, and what to write instead.
struct Foreign {
  std::string_view text;
  std::string_view hint;
};
constexpr Foreign kForeign[] = {
    {"&&", "write `and`"},
    {"||", "write `or`"},
    {"!", "write `not`"},
    {";", "a statement ends with its line"},
    {"#", "a comment starts with `//`"},
    {"'", "strings stand in double quotes"},
    {"\\", "a line goes on after a comma or an operator, and inside parentheses"},
    {"\xE2\x80\x9C", "strings stand in straight quotes"},
    {"\xE2\x80\x9D", "strings stand in straight quotes"},
    {"\xE2\x88\x92", "the minus sign is `-`"},
    {"\xC3\x97", "the product is `*`"},
};

size_t utf8_length(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && length < 4 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80)
    ++length;
  return length;
}

}  // namespace

Lexer::Lexer(const SourceFile& file, Diagnostics& diags) : file_(file), diags_(diags), text_(file.text) {
  if (at("\xEF\xBB\xBF")) pos_ = 3;
}

Token& Lexer::finish(Token& token, TokenKind kind, size_t length) {
  token.kind = kind;
  pos_ += length;
  token.end = static_cast<uint32_t>(pos_);
  return token;
}

void Lexer::error(Token& token, std::string message) {
  token.kind = TokenKind::Invalid;
  token.end = static_cast<uint32_t>(pos_);
  diags_.error({&file_, token.begin, token.end}, std::move(message));
}

void Lexer::skip_blanks(Token& token, std::deque<LexedComment>& comments) {
  int newlines = 0;  // since the last token or comment
  while (pos_ < text_.size()) {
    const char c = text_[pos_];
    if (c == '\n') {
      ++newlines;
      token.newline_before = true;
      line_started_ = false;
      ++pos_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
      ++pos_;
    } else if (at("//")) {
      size_t end = std::min(text_.find('\n', pos_), text_.size());
      std::string_view text = text_.substr(pos_ + 2, end - pos_ - 2);
      while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
        text.remove_suffix(1);
      comments.push_back({std::string(text), static_cast<uint32_t>(pos_), !line_started_, newlines > 1});
      newlines = 0;
      pos_ = end;
    } else {
      break;
    }
  }
  token.blank_before = newlines > 1;
}

Token Lexer::next(std::deque<LexedComment>& comments) {
  Token token;
  skip_blanks(token, comments);
  token.begin = static_cast<uint32_t>(pos_);
  token.end = token.begin;
  token.first_in_line =
      pos_ == 0 || text_[pos_ - 1] == '\n' || (pos_ == 3 && text_.starts_with("\xEF\xBB\xBF"));
  if (pos_ >= text_.size()) {
    token.newline_before = true;
    return token;
  }
  line_started_ = true;
  const char c = peek();
  if (is_word_start(c)) {
    size_t length = 1;
    while (is_word(peek(length))) ++length;
    return finish(token, TokenKind::Word, length);
  }
  if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
    number(token);
    return token;
  }
  if (c == '"') {
    string(token);
    return token;
  }
  for (const Punctuation& p : kPunctuation)
    if (at(p.text)) return finish(token, p.kind, p.text.size());
  stray(token);
  return token;
}

void Lexer::number(Token& token) {
  const size_t begin = pos_;
  bool is_real = false;
  const auto digits = [&] {
    while (is_digit(peek()) ||
           (peek() == '_' && is_digit(peek(1)) && pos_ > begin && is_digit(text_[pos_ - 1])))
      ++pos_;
  };
  digits();
  // `0..4` is a range, not `0.` and `.4`.
  if (peek() == '.' && peek(1) != '.' && !is_word_start(peek(1))) {
    is_real = true;
    ++pos_;
    digits();
  }
  if (peek() == 'e' || peek() == 'E') {
    const size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if (is_digit(peek(1 + sign))) {
      is_real = true;
      pos_ += 1 + sign;
      digits();
    }
  }
  if (is_word(peek())) {
    while (is_word(peek())) ++pos_;
    return error(token, "a number cannot have letters behind it");
  }
  std::string text(text_.substr(begin, pos_ - begin));
  text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
  finish(token, is_real ? TokenKind::Float : TokenKind::Int, 0);
  if (is_real) {
    token.real = std::strtod(text.c_str(), nullptr);
    if (std::isinf(token.real)) error(token, "the number is beyond 64-bit floats; infinity is written `inf`");
    return;
  }
  for (char c : text) {
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    // One more than the largest integer: `-9223372036854775808` is read as a whole by the parser.
    constexpr uint64_t kLimit = uint64_t{1} << 63;
    if (token.integer > (kLimit - digit) / 10) return error(token, "the integer does not fit in 64 bits");
    token.integer = token.integer * 10 + digit;
  }
}

void Lexer::string(Token& token) {
  ++pos_;
  std::optional<std::pair<uint32_t, std::string>> problem;
  while (pos_ < text_.size() && text_[pos_] != '"' && text_[pos_] != '\n') {
    const char c = text_[pos_];
    if (c == '\\') {
      const char escaped = peek(1);
      if (escaped == '\n' || escaped == '\0') break;
      if (escaped != '"' && escaped != '\\' && escaped != 'n' && escaped != 't' && !problem)
        problem = {static_cast<uint32_t>(pos_),
                   "unknown escape in a string; known are `\\\"`, `\\\\`, `\\n` and `\\t`"};
      ++pos_;
    } else if (static_cast<unsigned char>(c) < 0x20 && c != '\r' && !problem) {
      problem = {static_cast<uint32_t>(pos_),
                 "a string cannot hold control characters; a tab is written `\\t`"};
    }
    ++pos_;
  }
  if (peek() != '"') {
    if (pos_ > token.begin + 1 && text_[pos_ - 1] == '\r') --pos_;
    return error(token, "the string has no closing `\"` on its line");
  }
  finish(token, TokenKind::String, 1);
  if (problem) {
    token.kind = TokenKind::Invalid;
    diags_.error({&file_, problem->first, problem->first + 1}, problem->second);
  }
}

void Lexer::stray(Token& token) {
  for (const Foreign& f : kForeign) {
    if (!at(f.text)) continue;
    pos_ += f.text.size();
    return error(token, "unexpected `" + std::string(f.text) + "`; " + std::string(f.hint));
  }
  const size_t length = utf8_length(text_.substr(pos_));
  const std::string character(text_.substr(pos_, length));
  // A run of the same character is one mistake.
  while (at(character)) pos_ += length;
  if (character.size() == 1 && static_cast<unsigned char>(character[0]) < 0x20)
    return error(token,
                 "unexpected control character " + std::to_string(character[0]) + "; is this a text file?");
  error(token, "unexpected character `" + character + "`" +
                   (length > 1 ? "; names are made of the letters a to z, digits and `_`" : ""));
}

std::string decode_string(std::string_view quoted) {
  std::string result;
  for (size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] != '\\') {
      result += quoted[i];
      continue;
    }
    const char c = quoted[++i];
    result += c == 'n' ? '\n' : c == 't' ? '\t' : c;
  }
  return result;
}

std::string encode_string(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n')
      result += "\\n";
    else if (c == '\t')
      result += "\\t";
    else
      result += c;
  }
  return result + "\"";
}

}  // namespace nncc
