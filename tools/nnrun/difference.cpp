#include "tools/nnrun/difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace nncc {
namespace {

constexpr int kFinest = 12, kTried = 7;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Values of a function at plus and minus shift * 2^-i, computed once.
class Ladder {
 public:
  Ladder(const std::function<double(double)>& f, double f0, double shift) : f_(f), f0_(f0), shift_(shift) {}

  // The slope of the chord from 0 to the side of `sign`.
  double chord(int i, int sign) {
    const auto [it, is_new] = values_.try_emplace({i, sign});
    if (is_new) it->second = f_(sign * length(i));
    return sign * (it->second - f0_) / length(i);
  }
  double rounding(int i) const {
    return 256 * std::numeric_limits<double>::epsilon() * std::max(std::abs(f0_), 1e-3) / length(i);
  }

 private:
  double length(int i) const { return shift_ * std::ldexp(1.0, -i); }

  const std::function<double(double)>& f_;
  double f0_, shift_;
  std::map<std::pair<int, int>, double> values_;
};

struct Estimate {
  double slope, doubt;
};

// Extrapolated from one side; right to the third order in the length where there is no kink on it.
Estimate one_sided(Ladder& ladder, int i, int sign) {
  const double whole = ladder.chord(i, sign), half = ladder.chord(i + 1, sign),
               quarter = ladder.chord(i + 2, sign);
  const double first = 2 * half - whole, second = 2 * quarter - half;
  const double slope = (4 * second - first) / 3;
  return {slope, std::abs(slope - second)};
}

// From both sides, to the fourth order.
Estimate central(Ladder& ladder, int i) {
  const auto slope = [&](int k) { return (ladder.chord(k, 1) + ladder.chord(k, -1)) / 2; };
  const auto bend = [&](int k) { return ladder.chord(k, 1) - ladder.chord(k, -1); };
  const double first = (4 * slope(i + 1) - slope(i)) / 3, second = (4 * slope(i + 2) - slope(i + 1)) / 3;
  // Agreement is not enough: next to a kink all steps see the mean of the slopes on both sides. Bending
  // shrinks with the step, the break at a kink does not.
  const double kink = std::abs(4 * bend(i + 2) - bend(i)) / 3;
  return {second, std::max(std::abs(first - second), kink / 2)};
}

Difference difference_at(Ladder& ladder, int i, double tolerance, double least) {
  const auto make = [&](double low, double high, double doubt) {
    const double bound = 4 * doubt;
    return Difference{low, high, std::isfinite(bound) ? bound : kInfinity, ladder.rounding(i)};
  };
  const auto clean = [&](const Difference& d) {
    return d.bound <= std::max(tolerance * std::max(std::abs(d.low), least), d.rounding);
  };
  const Estimate both = central(ladder, i);
  const Difference middle = make(both.slope, both.slope, both.doubt);
  if (clean(middle)) return middle;
  const Estimate ahead = one_sided(ladder, i, 1), behind = one_sided(ladder, i, -1);
  const Difference right = make(ahead.slope, ahead.slope, ahead.doubt),
                   left = make(behind.slope, behind.slope, behind.doubt);
  if (clean(right) && clean(left))
    return make(std::min(left.low, right.low), std::max(left.low, right.low),
                std::max(ahead.doubt, behind.doubt));
  if (clean(right)) return right;
  if (clean(left)) return left;
  return middle;  // whose doubt knows of both sides
}

}  // namespace

double Difference::distance(double derivative) const {
  if (std::isnan(derivative)) return derivative;
  return std::max({0.0, low - derivative, derivative - high});
}

double Difference::uncertainty() const { return std::max(bound, rounding); }

Difference Differentiator::operator()(const std::function<double(double)>& f, double f0, double least) {
  Ladder ladder(f, f0, shift_);
  Difference best;
  int best_at = last_, tried = 0;
  // Whether that step is better than all before.
  const auto try_at = [&](int k) {
    const Difference d = difference_at(ladder, 2 * k, tolerance_, least);
    const bool better = tried++ == 0 || d.uncertainty() < best.uncertainty();
    if (better) best = d, best_at = k;
    return better;
  };
  const auto done = [&] {
    const double size = std::max({std::abs(best.low), std::abs(best.high), least});
    return best.uncertainty() <= tolerance_ * size || tried == kTried;
  };
  const int begin = last_;
  try_at(begin);
  // On to shorter steps, then to longer ones, past one step that is no better.
  for (const int way : {1, -1}) {
    int worse = 0;
    for (int k = begin + way; k >= 0 && k <= kFinest && worse < 2 && !done(); k += way)
      worse = try_at(k) ? 0 : worse + 1;
  }
  last_ = best_at;
  return best;
}

}  // namespace nncc
