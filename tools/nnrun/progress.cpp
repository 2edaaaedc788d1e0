#include "tools/nnrun/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace nncc {

Progress::Progress(std::string label, size_t steps, size_t rows)
    : label_(std::move(label)), steps_(steps), rows_(rows), terminal_(isatty(STDOUT_FILENO) != 0) {}

double Progress::rows_per_second() const {
  return static_cast<double>(done_ * rows_) / std::max(seconds(), 1e-9);
}

void Progress::step(double loss) {
  ++done_;
  loss_sum_ += loss;
  constexpr double kInterval = 0.1;
  if (!terminal_ || (seconds() - shown_ < kInterval && done_ < steps_)) return;
  shown_ = seconds();
  constexpr size_t kWidth = 30;
  std::string bar(kWidth, '.');
  std::fill_n(bar.begin(), kWidth * done_ / steps_, '#');
  const double left = seconds() / static_cast<double>(done_) * static_cast<double>(steps_ - done_);
  std::printf("\r%s [%s] %3zu%%  loss %.4g  %.0f rows/s  %.0f s left\033[K", label_.c_str(), bar.c_str(),
              100 * done_ / steps_, loss_sum_ / static_cast<double>(done_), rows_per_second(), left);
  std::fflush(stdout);
}

void Progress::finish(const std::string& line) {
  if (terminal_) std::printf("\r\033[K");
  std::printf("%s  %s\n", label_.c_str(), line.c_str());
  std::fflush(stdout);
}

}  // namespace nncc
