// `nncc-opt --evaluate`: runs an entry or a function on the reference evaluator.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/module.h"

namespace nncc {

struct EvaluateOptions {
  std::string name;                  // of an entry, or else of a function
  std::vector<std::string> inputs;   // "name=file.npy"
  std::vector<std::string> set;      // "variable=0.5" or "variable=file.npy", after initialization
  std::vector<std::string> outputs;  // "name=file.npy": a result, or a variable after the last step
  int64_t seed = 0;
  // An input of which the file has one more, leading axis of this length is taken step by step; results
  // written to files get that axis.
  std::optional<int64_t> steps;
  bool round = false;  // to the element types, after each op
};

// Prints the results that no file was asked for.
bool evaluate_module(const Module& module, const EvaluateOptions& options, llvm::raw_ostream& out,
                     Diagnostics& diags);

}  // namespace nncc
