// A mistake of the program found where its place is not known; who calls reports it there.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "ir/source.h"

namespace nncc {

struct OpError {
  explicit OpError(std::string message, int argument = -1)
      : message(std::move(message)), argument(argument) {}
  OpError& note(SourceRange range, std::string text) {
    notes.emplace_back(range, std::move(text));
    return *this;
  }
  std::string message;
  int argument;  // of the call: the range to underline; -1: the whole expression
  std::vector<std::pair<SourceRange, std::string>> notes;
};

}  // namespace nncc
