// The MNIST digits of examples/data.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/idx.h"

namespace example {

struct Digits {
  static constexpr std::ptrdiff_t kSide = 28, kPixels = kSide * kSide;

  std::vector<float> images;  // kPixels values in [0, 1] each, row by row
  std::vector<int32_t> labels;

  int size() const { return static_cast<int>(labels.size()); }

  // Copies the images of the digits that `which` names one after the other.
  void copy_images(std::span<const int> which, std::vector<float>& to) const {
    auto at = to.begin();
    for (const int i : which) at = std::copy_n(images.begin() + i * kPixels, kPixels, at);
  }
  void copy_labels(std::span<const int> which, std::vector<int32_t>& to) const {
    std::transform(which.begin(), which.end(), to.begin(),
                   [this](int i) { return labels[static_cast<size_t>(i)]; });
  }
};

inline Digits read_digits(const std::string& folder) {
  const IdxFile images = read_idx(folder + "/t10k-images-idx3-ubyte.gz");
  const IdxFile labels = read_idx(folder + "/t10k-labels-idx1-ubyte.gz");
  const auto pixels = static_cast<size_t>(Digits::kPixels);
  if (images.bytes.size() != labels.bytes.size() * pixels)
    throw std::runtime_error(folder + ": the images are not as many as the labels, 28x28 each");
  Digits digits;
  digits.images.assign(images.bytes.begin(), images.bytes.end());
  for (float& x : digits.images) x /= 255;
  digits.labels.assign(labels.bytes.begin(), labels.bytes.end());
  return digits;
}

}  // namespace example
