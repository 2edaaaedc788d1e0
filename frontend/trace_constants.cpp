#include "frontend/trace_constants.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

namespace nncc {

namespace {

// The parts of "a, [b, c], d" between commas outside brackets.
std::vector<llvm::StringRef> split_list(llvm::StringRef text) {
  std::vector<llvm::StringRef> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']') --depth;
    if (text[i] == ',' && depth == 0) {
      parts.push_back(text.slice(begin, i).trim());
      begin = i + 1;
    }
  }
  if (!text.trim().empty()) parts.push_back(text.substr(begin).trim());
  return parts;
}

std::optional<AbstractValue> parse(llvm::StringRef text, const AbstractValue& like) {
  text = text.trim();
  if (like.is_int()) {
    int64_t v = 0;
    if (text.getAsInteger(10, v)) return std::nullopt;
    return v;
  }
  if (like.is_float()) {
    double v = 0;
    if (text.getAsDouble(v)) return std::nullopt;
    return v;
  }
  if (like.is_bool()) {
    if (text != "true" && text != "false") return std::nullopt;
    return text == "true";
  }
  if (like.is_string()) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.drop_front().drop_back();
    return text.str();
  }
  if (!like.is_list() || !text.consume_front("[") || !text.consume_back("]")) return std::nullopt;
  std::vector<AbstractValue> elements;
  for (const llvm::StringRef part : split_list(text)) {
    const AbstractValue element_like =
        like.elements().empty() ? AbstractValue(int64_t{0}) : like.elements().front();
    auto element = parse(part, element_like);
    if (!element) return std::nullopt;
    elements.push_back(*element);
  }
  return AbstractValue::list(std::move(elements));
}

}  // namespace

std::optional<AbstractValue> parse_constant(std::string_view text, const AbstractValue& like) {
  return parse(llvm::StringRef(text.data(), text.size()), like);
}

std::string kind_of_constant(const AbstractValue& v) {
  if (v.is_int()) return "an int";
  if (v.is_float()) return "a float";
  if (v.is_bool()) return "true or false";
  if (v.is_string()) return "a string";
  if (v.is_list()) return "a list like " + v.text();
  return "no value from the command line";
}

}  // namespace nncc
