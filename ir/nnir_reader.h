// The parts of `.nnir` that mean the same wherever they stand: names, types, places, lists and literals.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/literal.h"
#include "ir/module.h"
#include "ir/nnir_lexer.h"

namespace nncc {

// A literal as written; its type comes later in the text.
struct LiteralText {
  std::vector<NnirToken> elements;
  SourceRange range;
};

// Base of the parser: reads one part after another. What returns a bool reports what it misses and returns
// false then.
class NnirReader {
 public:
  NnirReader(const SourceFile& file, Diagnostics& diags) : lexer_(file), diags_(diags) { advance(); }

 protected:
  // From the begin of the first to the end of the last.
  static SourceRange join(SourceRange a, SourceRange b) { return {a.file, a.begin, std::max(a.end, b.end)}; }
  void advance() {
    previous_ = token_.range;
    token_ = lexer_.next();
  }
  bool fail(SourceRange range, std::string message) {
    diags_.error(range, std::move(message));
    return false;
  }
  bool unexpected(const std::string& expected);
  bool accept(std::string_view text);  // whether it stood there; reports nothing
  bool expect(std::string_view text);
  bool parse_int(int64_t& value);
  bool parse_name(std::string& name);  // of a result
  bool parse_string(std::string& text);
  bool parse_symbol(std::string& name);
  bool parse_type(TensorType& type);
  bool parse_types(std::vector<TensorType>& types);  // `()`: none
  // "at arena+64, …": none, or one for each result.
  bool parse_places(std::vector<Place>& places, size_t num_results);
  bool parse_int_list(std::vector<int64_t>& list);
  bool parse_literal_text(LiteralText& text);
  bool make_literal(const LiteralText& text, const TensorType& type, Literal& literal);

  NnirLexer lexer_;
  Diagnostics& diags_;
  NnirToken token_;       // the next to be read
  SourceRange previous_;  // the one read last
};

}  // namespace nncc
