// What a training run says of itself.
#pragma once
#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "e2e/compiled_program.h"

namespace nncc::test {

// The mean over the first and over the last tenth of a run.
struct Curve {
  std::vector<double> values;
  void add(double x) { values.push_back(x); }
  double begin() const { return mean(0); }
  double end() const { return mean(values.size() - tenth()); }

 private:
  size_t tenth() const { return std::max<size_t>(1, values.size() / 10); }
  double mean(size_t first) const {
    return std::accumulate(values.begin() + static_cast<ptrdiff_t>(first),
                           values.begin() + static_cast<ptrdiff_t>(first + tenth()), 0.0) /
           static_cast<double>(tenth());
  }
};

inline std::string zoo(const std::string& name) { return source_path("examples/zoo/" + name + ".nn"); }

}  // namespace nncc::test
