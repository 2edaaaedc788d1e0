// A text as numbers: its characters, from 0 in the order of their codes.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace example {

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Text {
  std::string alphabet;
  std::vector<int32_t> symbols;

  int32_t symbol(char c) const {
    const size_t at = alphabet.find(c);
    if (at == std::string::npos) throw std::runtime_error("the text has no character " + std::string(1, c));
    return static_cast<int32_t>(at);
  }
};

inline Text read_text(const std::string& path) {
  const std::string characters = read_file(path);
  Text text{characters, {}};
  std::sort(text.alphabet.begin(), text.alphabet.end());
  text.alphabet.erase(std::unique(text.alphabet.begin(), text.alphabet.end()), text.alphabet.end());
  for (const char c : characters) text.symbols.push_back(text.symbol(c));
  return text;
}

// Pieces of a text, `steps` symbols long, one after the other, and for each symbol the one that follows.
struct Windows {
  std::vector<int32_t> text, next;

  Windows(int64_t batch, int64_t steps)
      : text(static_cast<size_t>(batch * steps)), next(text.size()), steps_(steps) {}
  // Takes them from anywhere in `symbols`.
  void draw(std::span<const int32_t> symbols, std::mt19937& random) {
    std::uniform_int_distribution<int64_t> start(0, static_cast<int64_t>(symbols.size()) - steps_ - 1);
    for (auto at = text.begin(), after = next.begin(); at != text.end();) {
      const auto from = symbols.begin() + start(random);
      at = std::copy_n(from, steps_, at);
      after = std::copy_n(from + 1, steps_, after);
    }
  }

 private:
  int64_t steps_;
};

// Minus the mean logarithm of the probability that rows of `logits` give to the symbols `next`: nats.
inline double cross_entropy(std::span<const float> logits, std::span<const int32_t> next) {
  const size_t width = logits.size() / next.size();
  double sum = 0;
  for (size_t i = 0; i < next.size(); ++i) {
    const auto row = logits.subspan(i * width, width);
    const double largest = *std::max_element(row.begin(), row.end());
    double total = 0;
    for (const float x : row) total += std::exp(x - largest);
    sum += std::log(total) + largest - row[static_cast<size_t>(next[i])];
  }
  return sum / static_cast<double>(next.size());
}

// A symbol with probability softmax(logits / temperature); at temperature 0 the likeliest.
inline int32_t draw_symbol(std::span<const float> logits, double temperature, std::mt19937& random) {
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0) return static_cast<int32_t>(largest - logits.begin());
  std::vector<double> weights;
  for (const float x : logits) weights.push_back(std::exp((x - *largest) / temperature));
  return std::discrete_distribution<int32_t>(weights.begin(), weights.end())(random);
}

}  // namespace example
