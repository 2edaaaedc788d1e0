// Writes pictures in the formats PGM (gray) and PPM (colour).
#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>

#include "common/digits.h"

namespace example {

inline char to_byte(float gray) { return static_cast<char>(std::lround(255 * std::clamp(gray, 0.0f, 1.0f))); }

inline void write_picture(const std::filesystem::path& path, const char* format, int width, int height,
                          const std::string& pixels) {
  std::ofstream file(path, std::ios::binary);
  file << format << "\n" << width << ' ' << height << "\n255\n" << pixels;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

// Images of digits, values in [0, 1], as a grid of `columns`, on black.
inline void write_grid(const std::filesystem::path& path, std::span<const float> images, int columns) {
  constexpr int kSide = static_cast<int>(Digits::kSide), kCell = kSide + 2;
  const auto count = static_cast<int>(images.size()) / (kSide * kSide);
  const int rows = (count + columns - 1) / columns, width = columns * kCell, height = rows * kCell;
  std::string pixels(static_cast<size_t>(width * height), '\0');
  for (int i = 0; i < count * kSide * kSide; ++i) {
    const int image = i / (kSide * kSide), y = i / kSide % kSide, x = i % kSide;
    const int row = image / columns * kCell + 1 + y, column = image % columns * kCell + 1 + x;
    pixels[static_cast<size_t>(row * width + column)] = to_byte(images[static_cast<size_t>(i)]);
  }
  write_picture(path, "P5", width, height, pixels);
}

// A square image of three planes: red, green and blue, each size * size values in [0, 1].
inline void write_colours(const std::filesystem::path& path, std::span<const float> planes, int size) {
  const auto area = static_cast<size_t>(size) * static_cast<size_t>(size);
  std::string pixels;
  for (size_t i = 0; i < area; ++i)
    for (size_t plane = 0; plane < 3; ++plane) pixels += to_byte(planes[plane * area + i]);
  write_picture(path, "P6", size, size, pixels);
}

}  // namespace example
