// Which functions depend on their arguments alone: their calls may stay visible in the graph.
#pragma once
#include <map>
#include <set>
#include <string>

#include "frontend/symbols.h"

namespace nncc {

class PurityAnalysis {
 public:
  explicit PurityAnalysis(const SymbolTable& symbols) : symbols_(symbols) {}
  // No parameter, state, randomness, gradient, hyper or `step` in its body or in what it calls by name.
  // Functions that come in as arguments are asked for separately.
  bool is_pure(const Symbol&);

 private:
  const SymbolTable& symbols_;
  std::map<const Symbol*, bool> known_;
};

}  // namespace nncc
