// The reference evaluator: slow, obvious, in double precision. What compiled code is compared with.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/module.h"

namespace nncc {

struct EvalOptions {
  // Round every result to its element type (f32 arithmetic step by step). Off: all floats stay double.
  bool round = false;
};

// Evaluates a node from its operands; the rule of its op.
std::vector<Literal> evaluate_node(const Graph&, NodeId, std::span<const Literal> operands,
                                   const EvalOptions& = {});

// A session on the evaluator: the variables of a module and their values.
class Evaluator {
 public:
  explicit Evaluator(const Module& module, EvalOptions options = {});  // the module must outlive it
  // Sets the seed and runs the `init` entry, if the module has one.
  void initialize(int64_t seed);
  // Runs an entry (its `prepare` first), applies its updates, returns its results. Arguments must have the
  // entry's types.
  std::vector<Literal> run(const Entry& entry, std::span<const Literal> arguments);
  // A function of the module on given arguments.
  std::vector<Literal> call(const Function& function, std::span<const Literal> arguments);
  Literal& variable(const std::string& name) { return variables_.at(name); }
  const std::map<std::string, Literal>& variables() const { return variables_; }

 private:
  std::vector<Literal> evaluate(const Graph&, std::span<const Literal> arguments,
                                std::vector<Literal>* updates);
  std::vector<Literal> scan(const Node& node, std::vector<Literal> operands);
  const Module& module_;
  EvalOptions options_;
  std::map<std::string, Literal> variables_;
};

}  // namespace nncc
