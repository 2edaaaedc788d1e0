#include "ir/nnir_reader.h"

#include <charconv>
#include <unordered_map>

namespace nncc {

namespace {

// More elements than any machine holds, and few enough that byte sizes do not overflow.
constexpr int64_t kMaxElements = int64_t{1} << 48;

}  // namespace

bool NnirReader::unexpected(const std::string& expected) {
  std::string found = token_.kind == NnirToken::End ? "the end of the file"
                                                    : "`" + std::string(token_.text.substr(0, 40)) + "`";
  return fail(token_.range, "expected " + expected + ", found " + found);
}

bool NnirReader::accept(std::string_view text) {
  if (!token_.is(text)) return false;
  advance();
  return true;
}

bool NnirReader::expect(std::string_view text) {
  return accept(text) || unexpected("`" + std::string(text) + "`");
}

bool NnirReader::parse_int(int64_t& value) {
  if (token_.kind != NnirToken::Number) return unexpected("an integer");
  const char* end = token_.text.data() + token_.text.size();
  const auto [rest, error] = std::from_chars(token_.text.data(), end, value);
  if (error != std::errc() || rest != end) return unexpected("an integer of 64 bits");
  advance();
  return true;
}

bool NnirReader::parse_string(std::string& text) {
  if (token_.kind != NnirToken::String) return unexpected("a string");
  text = unquoted(token_.text);
  advance();
  return true;
}

bool NnirReader::parse_name(std::string& name) {
  if (token_.kind == NnirToken::String) return parse_string(name);
  if (token_.kind != NnirToken::Word) return unexpected("a name");
  name = token_.text;
  advance();
  return true;
}

bool NnirReader::parse_symbol(std::string& name) {
  if (token_.kind != NnirToken::Symbol) return unexpected("a symbol such as `@name`");
  name = token_.text[0] == '"' ? unquoted(token_.text) : std::string(token_.text);
  advance();
  return true;
}

bool NnirReader::parse_type(TensorType& type) {
  const SourceRange begin = token_.range;
  const auto dtype = token_.kind == NnirToken::Word ? parse_dtype(token_.text) : std::nullopt;
  if (!dtype) return unexpected("a type");
  type = {*dtype, {}};
  advance();
  if (!accept("[")) return true;
  int64_t elements = 1;
  do {
    const SourceRange range = token_.range;
    int64_t extent;
    if (!parse_int(extent)) return false;
    if (extent < 1) return fail(range, "an extent is " + std::to_string(extent) + ", expected at least 1");
    if (extent > kMaxElements / elements) return fail(join(begin, range), "the tensor is too large");
    elements *= extent;
    type.shape.push_back(extent);
  } while (accept(","));
  return expect("]");
}

bool NnirReader::parse_types(std::vector<TensorType>& types) {
  if (accept("(")) return expect(")");
  do {
    if (!parse_type(types.emplace_back())) return false;
  } while (accept(","));
  return true;
}

bool NnirReader::parse_places(std::vector<Place>& places, size_t num_results) {
  const SourceRange begin = token_.range;
  if (!accept("at")) return true;
  static const std::unordered_map<std::string_view, Space> kSpaces{{"arena", Space::Arena},
                                                                   {"variables", Space::Variables},
                                                                   {"constants", Space::Constants},
                                                                   {"input", Space::Input},
                                                                   {"output", Space::Output}};
  do {
    const auto space = token_.kind == NnirToken::Word ? kSpaces.find(token_.text) : kSpaces.end();
    if (space == kSpaces.end()) return unexpected("`arena`, `variables`, `constants`, `input` or `output`");
    advance();
    Place place{space->second, 0, 0};
    if (place.space == Space::Input || place.space == Space::Output) {
      int64_t index;
      const SourceRange range = token_.range;
      if (!expect("[") || !parse_int(index) || !expect("]")) return false;
      if (index < 0 || index > INT32_MAX) return fail(range, "there is no argument or result of that number");
      place.index = static_cast<int32_t>(index);
    }
    if (!expect("+") || !parse_int(place.offset)) return false;
    places.push_back(place);
  } while (places.size() < num_results && accept(","));  // in a signature the next comma is not ours
  if (places.size() != num_results)
    return fail(join(begin, previous_),
                std::to_string(places.size()) + " places for " + std::to_string(num_results) + " results");
  return true;
}

bool NnirReader::parse_int_list(std::vector<int64_t>& list) {
  if (!expect("[")) return false;
  if (accept("]")) return true;
  do {
    if (!parse_int(list.emplace_back())) return false;
  } while (accept(","));
  return expect("]");
}

// Literals.

bool NnirReader::parse_literal_text(LiteralText& text) {
  const SourceRange begin = token_.range;
  const auto element = [&] {
    if (token_.kind != NnirToken::Number && token_.kind != NnirToken::Word) return unexpected("a number");
    text.elements.push_back(token_);
    advance();
    return true;
  };
  if (accept("dense")) {
    if (!expect("<")) return false;
    if (token_.kind == NnirToken::Invalid && token_.text == "…")
      return fail(
          token_.range,
          "the elements of this literal were left out when it was printed; print with --print-constants");
    do {
      if (!element()) return false;
    } while (accept(","));
    if (!expect(">")) return false;
  } else if (!element()) {
    return false;
  }
  text.range = join(begin, previous_);
  return true;
}

bool NnirReader::make_literal(const LiteralText& text, const TensorType& type, Literal& literal) {
  const size_t n = text.elements.size();
  if (n != 1 && static_cast<int64_t>(n) != type.num_elements())
    return fail(text.range, "the literal has " + std::to_string(n) + " elements, expected " +
                                std::to_string(type.num_elements()) + " for " + type.str());
  Literal::Floats floats;
  Literal::Ints ints;
  for (const NnirToken& token : text.elements) {
    const char *begin = token.text.data(), *end = begin + token.text.size();
    std::from_chars_result result{begin, std::errc::invalid_argument};
    if (is_float(type.dtype)) {
      result = std::from_chars(begin, end, floats.emplace_back());
    } else if (type.dtype == DType::Bool) {
      ints.push_back(token.text == "true");
      if (token.text == "true" || token.text == "false") result = {end, std::errc()};
    } else {
      result = std::from_chars(begin, end, ints.emplace_back());
    }
    if (result.ec != std::errc() || result.ptr != end)
      return fail(token.range,
                  "`" + std::string(token.text) + "` is no " + std::string(dtype_name(type.dtype)));
  }
  if (is_float(type.dtype)) {
    literal = Literal::floats(type, std::move(floats));
    return true;
  }
  literal = Literal::ints(type, ints);
  Literal wrapped = literal;
  wrapped.round_to_type();
  if (wrapped != literal)
    return fail(text.range, "the literal does not fit " + std::string(dtype_name(type.dtype)));
  return true;
}

}  // namespace nncc
