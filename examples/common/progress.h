// A progress bar with the loss, the speed and the time left; a plain line per epoch where the output is no
// terminal.
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace example {

class Progress {
 public:
  // `items` is what one step handles, `unit` its name: "images". Each step gives a value for every one of
  // `measures`; shown are their means so far.
  Progress(std::string label, long steps, long items, const char* unit,
           std::vector<const char*> measures = {"loss"})
      : label_(std::move(label)),
        unit_(unit),
        steps_(steps),
        items_(items),
        measures_(std::move(measures)),
        sums_(measures_.size()),
        terminal_(isatty(STDOUT_FILENO) != 0) {}

  template <class... Values>
  void step(const Values&... values) {
    ++done_;
    size_t i = 0;
    ((sums_[i++] += static_cast<double>(values)), ...);
    if (!terminal_) return;
    const double now = seconds();
    if (now - shown_ < 0.1 && done_ < steps_) return;
    shown_ = now;
    char percent[16], left[32];
    std::snprintf(percent, sizeof percent, "%3ld%%  ", done_ * 100 / steps_);
    std::snprintf(left, sizeof left, "  %.0f s left",
                  now / static_cast<double>(done_) * static_cast<double>(steps_ - done_));
    const std::string rest = percent + values_and_speed() + left;
    std::printf("\r%s [%s] %s\033[K", label_.c_str(), bar(rest.size()).c_str(), rest.c_str());
    std::fflush(stdout);
  }
  // Ends the line with what only the caller knows.
  void finish(const char* rest) {
    if (terminal_) std::printf("\r\033[K");
    std::printf("%s  %s  %s\n", label_.c_str(), values_and_speed().c_str(), rest);
    std::fflush(stdout);
  }

 private:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  std::string values_and_speed() const {
    std::string text;
    char part[64];
    for (size_t i = 0; i < sums_.size(); ++i) {
      std::snprintf(part, sizeof part, "%s %.4f  ", measures_[i],
                    sums_[i] / std::max(1.0, static_cast<double>(done_)));
      text += part;
    }
    std::snprintf(part, sizeof part, "%.0f %s/s", static_cast<double>(done_ * items_) / (seconds() + 1e-9),
                  unit_);
    return text + part;
  }
  // As long as the line has room for: one that wraps could not be written over.
  std::string bar(size_t rest) const {
    winsize window{};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    const long room = (known ? window.ws_col : 80) - static_cast<long>(label_.size() + rest) - 5;
    const long width = std::clamp(room, 0L, 30L), full = done_ * width / steps_;
    return std::string(static_cast<size_t>(full), '#') + std::string(static_cast<size_t>(width - full), '.');
  }

  std::string label_;
  const char* unit_;
  long steps_, items_, done_ = 0;
  std::vector<const char*> measures_;
  std::vector<double> sums_;
  double shown_ = -1;
  bool terminal_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace example
