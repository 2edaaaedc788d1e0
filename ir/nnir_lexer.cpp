#include "ir/nnir_lexer.h"

namespace nncc {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_char(char c) { return is_digit(c) || is_letter(c) || c == '.' || c == '/' || c == '$'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

char NnirLexer::peek(size_t ahead) const {
  return at_ + ahead < file_.text.size() ? file_.text[at_ + ahead] : '\0';
}

bool NnirLexer::skip_space() {
  bool new_line = at_ == 0;
  while (at_ < file_.text.size()) {
    const char c = peek();
    if (c == '/' && peek(1) == '/') {
      while (at_ < file_.text.size() && peek() != '\n') ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      new_line |= c == '\n';
      ++at_;
    } else {
      break;
    }
  }
  return new_line;
}

void NnirLexer::skip_name() {
  while (is_name_char(peek()) && !(peek() == '/' && peek(1) == '/')) ++at_;
}

// At a quote. False if the line ends before the string does.
bool NnirLexer::skip_string() {
  ++at_;
  while (at_ < file_.text.size() && peek() != '\n') {
    const char c = peek();
    at_ += c == '\\' && peek(1) != '\n' && at_ + 1 < file_.text.size() ? 2 : 1;
    if (c == '"') return true;
  }
  return false;
}

void NnirLexer::skip_number() {
  if (peek() == '-') ++at_;
  if (is_letter(peek())) {  // -inf, -nan
    skip_name();
    return;
  }
  while (is_digit(peek())) ++at_;
  if (peek() == '.') ++at_;
  while (is_digit(peek())) ++at_;
  if (peek() == 'e' || peek() == 'E') {
    const size_t sign = peek(1) == '-' || peek(1) == '+' ? 1 : 0;
    if (is_digit(peek(1 + sign))) {
      at_ += 1 + sign;
      while (is_digit(peek())) ++at_;
    }
  }
}

NnirToken NnirLexer::next() {
  NnirToken token;
  token.first_on_line = skip_space();
  const size_t begin = at_;
  size_t text_begin = begin;
  if (at_ >= file_.text.size()) {
    token.kind = NnirToken::End;
  } else if (const char c = peek(); c == '%' || c == '@') {
    ++at_;
    ++text_begin;
    token.kind = c == '%' ? NnirToken::Value : NnirToken::Symbol;
    if (peek() == '"') {
      if (!skip_string()) token.kind = NnirToken::Invalid;
      // Only a name made unique goes on after the quotes: %"a b".1
      if (token.kind == NnirToken::Value && peek() == '.' && is_digit(peek(1))) {
        ++at_;
        while (is_digit(peek())) ++at_;
      }
    } else {
      skip_name();
    }
    if (at_ == text_begin) token.kind = NnirToken::Invalid;
  } else if (c == '"') {
    token.kind = skip_string() ? NnirToken::String : NnirToken::Invalid;
  } else if (is_letter(c)) {
    token.kind = NnirToken::Word;
    skip_name();
  } else if (c == '-' && peek(1) == '>') {
    token.kind = NnirToken::Punct;
    at_ += 2;
  } else if (is_digit(c) || (c == '-' && (is_digit(peek(1)) || is_letter(peek(1))))) {
    token.kind = NnirToken::Number;
    skip_number();
  } else {
    ++at_;
    const bool known = std::string_view("(){}[]<>:=,#+").find(c) != std::string_view::npos;
    token.kind = known ? NnirToken::Punct : NnirToken::Invalid;
    // The rest of a character outside ASCII.
    if (!known)
      while ((static_cast<unsigned char>(peek()) & 0xC0) == 0x80) ++at_;
  }
  token.text = std::string_view(file_.text).substr(text_begin, at_ - text_begin);
  token.range = {&file_, static_cast<uint32_t>(begin), static_cast<uint32_t>(at_)};
  return token;
}

std::string unquoted(std::string_view text) {
  std::string result;
  const size_t end = text.size() - 1;
  for (size_t i = 1; i < end; ++i) {
    if (text[i] != '\\') {
      result += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'n') {
      result += '\n';
    } else if (c == 't') {
      result += '\t';
    } else if (i + 1 < end && hex_digit(c) >= 0 && hex_digit(text[i + 1]) >= 0) {
      result += static_cast<char>(hex_digit(c) * 16 + hex_digit(text[++i]));
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace nncc
