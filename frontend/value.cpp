#include "frontend/value.h"

#include <algorithm>
#include <cmath>

#include "frontend/builtins.h"
#include "frontend/symbols.h"

namespace nncc {

namespace {

std::string float_text(double v) {
  if (v == 0) return std::signbit(v) ? "-0.0" : "0.0";
  // The shortest form that reads back to the same number.
  char buffer[40];
  for (int digits = 1; digits <= 17; ++digits) {
    snprintf(buffer, sizeof buffer, "%.*g", digits, v);
    if (strtod(buffer, nullptr) == v) break;
  }
  std::string text = buffer;
  if (text.find_first_of(".einf") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

const std::string& FunctionValue::name() const { return symbol ? symbol->name : builtin->name; }

AbstractValue AbstractValue::list(std::vector<AbstractValue> values) {
  return AbstractValue(Variant(std::make_shared<const std::vector<AbstractValue>>(std::move(values))));
}

AbstractValue AbstractValue::integers(const std::vector<int64_t>& values) {
  return list(std::vector<AbstractValue>(values.begin(), values.end()));
}

AbstractValue AbstractValue::results(std::vector<AbstractValue> values) {
  return AbstractValue(
      Variant(Results{std::make_shared<const std::vector<AbstractValue>>(std::move(values))}));
}

bool AbstractValue::is_constant() const {
  if (is_list())
    return std::all_of(elements().begin(), elements().end(), [](auto& e) { return e.is_constant(); });
  return is_scalar_constant() || is_string() || is_function() || is_type() || is_nothing();
}

std::string AbstractValue::describe() const {
  if (is_nothing()) return "nothing";
  if (is_int()) return "the int " + text();
  if (is_float()) return "the float " + text();
  if (is_bool()) return "the bool " + text();
  if (is_string()) return "the string " + text();
  if (is_list()) return is_constant() ? "the list " + text() : "a list";
  if (is_function()) return "the function `" + function().name() + "`";
  if (is_type()) return "the type " + type().str();
  if (is_tensor()) return tensor().type.str();
  if (is_results()) return count_text(result_values().size(), "result");
  return "an error";
}

std::string AbstractValue::text() const {
  if (is_int()) return std::to_string(integer());
  if (is_float()) return float_text(as<double>());
  if (is_bool()) return boolean() ? "true" : "false";
  if (is_string()) return '"' + string() + '"';
  if (is_function()) return function().name();
  if (is_type()) return type().str();
  if (is_list()) {
    std::string out = "[";
    for (const auto& e : elements()) out += (out.size() > 1 ? ", " : "") + e.text();
    return out + "]";
  }
  return describe();
}

bool operator==(const AbstractValue& a, const AbstractValue& b) {
  if (a.is_number() && b.is_number())
    return a.is_int() && b.is_int() ? a.integer() == b.integer() : a.real() == b.real();
  if (a.data_.index() != b.data_.index()) return false;
  if (a.is_bool()) return a.boolean() == b.boolean();
  if (a.is_string()) return a.string() == b.string();
  if (a.is_list()) return a.elements() == b.elements();
  if (a.is_function()) return a.function() == b.function();
  if (a.is_type()) return a.type() == b.type();
  return a.is_nothing();
}

std::optional<std::vector<int64_t>> as_integers(const AbstractValue& v) {
  if (!v.is_list()) return std::nullopt;
  std::vector<int64_t> out;
  for (const auto& e : v.elements()) {
    if (!e.is_int()) return std::nullopt;
    out.push_back(e.integer());
  }
  return out;
}

std::string shape_text(const Shape& shape) { return AbstractValue::integers(shape).text(); }

std::string count_text(size_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

}  // namespace nncc
