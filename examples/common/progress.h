// A progress bar with the loss, the speed and the time left; a plain line per epoch where the output is no
// terminal.
#pragma once
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace example {

class Progress {
 public:
  // `items` is what one step handles, `unit` its name: "images".
  Progress(const char* label, long steps, long items, const char* unit)
      : label_(label), unit_(unit), steps_(steps), items_(items), terminal_(isatty(STDOUT_FILENO) != 0) {}

  void step(double loss) {
    ++done_;
    sum_ += loss;
    if (!terminal_) return;
    const double now = seconds();
    if (now - shown_ < 0.1 && done_ < steps_) return;
    shown_ = now;
    constexpr int kWidth = 30;
    char bar[kWidth + 1];
    for (int i = 0; i < kWidth; ++i) bar[i] = i < done_ * kWidth / steps_ ? '#' : '.';
    bar[kWidth] = 0;
    std::printf("\r%s [%s] %3ld%%  loss %.4f  %.0f %s/s  %.0f s left ", label_, bar, done_ * 100 / steps_,
                mean(), speed(), unit_,
                now / static_cast<double>(done_) * static_cast<double>(steps_ - done_));
    std::fflush(stdout);
  }
  // Ends the line with what only the caller knows.
  void finish(const char* rest) {
    if (terminal_) std::printf("\r\033[K");
    std::printf("%s  loss %.4f  %.0f %s/s  %s\n", label_, mean(), speed(), unit_, rest);
  }
  double mean() const { return done_ ? sum_ / static_cast<double>(done_) : 0; }

 private:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double speed() const { return static_cast<double>(done_ * items_) / (seconds() + 1e-9); }

  const char* label_;
  const char* unit_;
  long steps_, items_, done_ = 0;
  double sum_ = 0, shown_ = -1;
  bool terminal_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace example
