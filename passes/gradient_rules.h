// One row for each primitive: how its result's gradient gives its operands' gradients.
#pragma once
#include <string_view>
#include <vector>

#include "ir/builder.h"
#include "ir/diagnostic.h"
#include "ir/module.h"

namespace nncc {

// `value`, or its negation.
struct SignedValue {
  Value value;
  bool negative = false;
};

// What a rule sees: a node, the gradient of what is differentiated with respect to its results, and which
// operands want theirs.
class GradientStep {
 public:
  GradientStep(GraphBuilder& builder, Module& module, Diagnostics& diags, NodeId id, std::vector<Value> dys,
               std::vector<bool> wanted)
      : b(builder),
        module(module),
        diags(diags),
        node(builder.graph()[id]),
        y{id, 0},
        dys(std::move(dys)),
        dy(this->dys[0]),
        wanted_(std::move(wanted)),
        gradients_(node.operands.size()) {}

  GraphBuilder& b;
  Module& module;
  Diagnostics& diags;
  bool failed = false;           // set by a rule that found, and reported, what has no gradient
  const Node node;               // a copy: rules add nodes
  const Value y;                 // the node's first result
  const std::vector<Value> dys;  // one for each result; empty values: zero
  const Value dy;                // of a node with one result; never empty then

  Value x(int operand) const { return node.operands[operand]; }
  TensorType type(int operand) const { return b.type(node.operands[operand]); }
  bool wants(int operand) const { return wanted_[operand]; }
  // Sets the gradient of an operand that wants one; of the operand's type, and linear in dy.
  void give(int operand, Value gradient) { set(operand, {gradient, false}); }
  // The same with `gradient` negated, which costs nothing: signs are carried on.
  void give_negated(int operand, Value gradient) { set(operand, {gradient, true}); }
  const std::vector<SignedValue>& gradients() const { return gradients_; }

 private:
  void set(int operand, SignedValue gradient) {
    if (wanted_[operand]) gradients_[operand] = gradient;
  }
  std::vector<bool> wanted_;
  std::vector<SignedValue> gradients_;  // empty values: zero
};

using GradientFunction = void (*)(GradientStep&);

struct GradientRule {
  enum class Kind {
    Differentiable,  // `apply` gives the gradients, by nodes that are differentiable themselves
    Zero,            // constant almost everywhere, or not a number that moves: gradients end here
    Leaf,            // has no operand to give a gradient to
    Structural,      // gone before gradients are made
  };
  Kind kind = Kind::Structural;
  GradientFunction apply = nullptr;
  std::string_view reason;  // for all but Differentiable
};
const GradientRule& gradient_rule(Op);

// The rule of `scan`, in gradient_scan.cpp.
void scan_gradient(GradientStep&);

// The rules of `attention` and of its gradient, in gradient_attention.cpp.
void attention_gradient(GradientStep&);
void attention_gradient_gradient(GradientStep&);

}  // namespace nncc
