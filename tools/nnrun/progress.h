// A progress bar on a terminal; where the output is none, nothing but the line at the end of an epoch.
#pragma once
#include <chrono>
#include <cstddef>
#include <string>

namespace nncc {

class Progress {
 public:
  // `rows` are handled by one step.
  Progress(std::string label, size_t steps, size_t rows);
  // One step more. The bar is drawn a few times a second.
  void step(double loss);
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  double rows_per_second() const;
  // Takes the bar away and writes the line.
  void finish(const std::string& line);

 private:
  std::string label_;
  size_t steps_, rows_, done_ = 0;
  double loss_sum_ = 0, shown_ = -1;
  bool terminal_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace nncc
