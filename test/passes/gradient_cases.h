// Cases for the gradient of every primitive, and what checks them: differences along random directions, in
// double precision.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "test/passes/graphs.h"

namespace nncc::test {

using Values = std::vector<Value>;
using Ints = std::vector<int64_t>;
using Build = std::function<Value(GraphBuilder&, const Values&)>;

// How an argument is filled.
struct Fill {
  enum Kind { Uniform, Spread, SomeZeros } kind = Uniform;
  double low = -2, high = 2;
};
struct Case {
  Op op;
  std::string label;
  std::vector<Shape> shapes;  // of the arguments
  std::vector<Fill> fills;    // missing ones: uniform
  Build build;                // the value whose gradient is checked
};

// Several shapes and attributes for each primitive that has a gradient, but for loops, which need a step
// function.
std::vector<Case> gradient_cases();
// The gradient (order 1) or the gradient of a function of the gradient (order 2) along a random direction,
// and what differences say it is.
struct Slopes {
  double expected = 0, found = 0;
  // Of the difference: relative to the slope where that is above 1.
  double error() const;
};
Slopes slopes_of(const Case&, int order);

// Parts for other cases.
Values gradient(GraphBuilder&, Value loss, const Values& xs);
void add_results(Graph&, const Values& gradients);
Build apply(Op);
Build reduce(Op, Ints axes);
Build pow_by(double exponent);

}  // namespace nncc::test
