// Tokens of `.nnir`.
#pragma once
#include <string>
#include <string_view>

#include "ir/source.h"

namespace nncc {

struct NnirToken {
  enum Kind {
    End,
    Word,    // keyword, op, type, attribute or result name; also inf, nan, true, false
    Number,  // 12, -0.5, 1e-3, -inf
    String,  // "…"
    Value,   // %name
    Symbol,  // @name
    Punct,   // one of ( ) { } [ ] < > : = , # + or ->
    Invalid  // any other character, or a string without an end
  };
  Kind kind = End;
  std::string_view text;  // as it stands in the file; of values and symbols without % and @
  SourceRange range;
  bool first_on_line = false;

  bool is(std::string_view punct_or_word) const {
    return (kind == Punct || kind == Word) && text == punct_or_word;
  }
};

class NnirLexer {
 public:
  explicit NnirLexer(const SourceFile& file) : file_(file) {}
  // Past the last token: End, again and again.
  NnirToken next();

 private:
  char peek(size_t ahead = 0) const;
  bool skip_space();  // whether a line began
  void skip_name();
  bool skip_string();
  void skip_number();

  const SourceFile& file_;
  size_t at_ = 0;
};

// What a String token, or the quoted text of a Value or Symbol, stands for.
std::string unquoted(std::string_view text);

}  // namespace nncc
