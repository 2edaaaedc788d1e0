// What --set gives: constants read from text.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "frontend/value.h"

namespace nncc {

// `text` as a constant of the same kind as `like`: "16", "0.5" (an int is a float too), "true", a string as
// it is,
// "[1, 2]" element by element. Nothing if it is of another kind.
std::optional<AbstractValue> parse_constant(std::string_view text, const AbstractValue& like);
// "an int", "a list of ints", …
std::string kind_of_constant(const AbstractValue&);

}  // namespace nncc
