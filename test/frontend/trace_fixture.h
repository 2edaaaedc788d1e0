// Programs given as text: traced, verified and run on the reference evaluator.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "frontend/frontend.h"
#include "ir/evaluate.h"
#include "ir/module.h"

namespace nncc {

// Null after errors, whose messages are then in `errors`, one a line.
struct Traced {
  explicit Traced(const std::string& text, const TraceOptions& options = {});

  std::unique_ptr<Module> module;
  std::string errors;
  std::string warnings;

  // Names of the variables of a kind, in order.
  std::vector<std::string> variables(VariableKind) const;
  // How many nodes of an entry are of this op.
  int count(const std::string& entry, Op) const;
  // Replaces gradient nodes, so that training entries can be evaluated.
  void differentiate();

 private:
  SourceManager sources_;
};

Literal vector_of(std::vector<double> values);
Literal tensor_of(Shape shape, std::vector<double> values);
Literal integers_of(Shape shape, std::vector<int64_t> values);
std::vector<double> reals(const Literal&);

// The result of a model `f` made of this body, for float arguments a, b, c of these values.
std::vector<double> evaluate_body(const std::string& body, const std::vector<Literal>& arguments = {});

}  // namespace nncc
