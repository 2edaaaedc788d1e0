// Derivatives of a function of one number from its values alone, with what they may be off by.
#pragma once
#include <functional>

namespace nncc {

struct Difference {
  // The derivative. A kink at 0 itself has two, seen from either side; else they are equal.
  double low = 0, high = 0;
  // What they may be off by: four times what their steps disagree by, and what rounding may make.
  double bound = 0, rounding = 0;

  // How far `derivative` is from what is possible.
  double distance(double derivative) const;
  double uncertainty() const;
};

// Differentiates functions at 0. Long steps cross kinks and feel the curvature, short ones drown in rounding.
// So step lengths 4^-k are tried, from the one that did last time, until the values at h, h/2 and h/4,
// extrapolated from both sides or, next to a kink, from one, agree to `tolerance`, relative to the derivative
// or, if that is larger, to `least`; else the least uncertain is taken.
class Differentiator {
 public:
  // `shift` scales all lengths: with another one nothing but f(0) is measured again.
  explicit Differentiator(double tolerance, double shift = 1) : tolerance_(tolerance), shift_(shift) {}
  Difference operator()(const std::function<double(double)>& f, double f0, double least);

 private:
  double tolerance_, shift_;
  int last_ = 3;
};

}  // namespace nncc
