// Paints one picture in the style of another with examples/style/style.nn: the pixels are what is learned.
//
//   nncc examples/style/style.nn -o style.so
//   style style.so examples/data --digit 3 --output picture
//
// The content is a digit of MNIST, the style coloured waves. The network that judges them has random weights.
// Gatys, Ecker, Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks".
#include <nn/model.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "common/digits.h"
#include "common/options.h"
#include "common/pictures.h"
#include "common/progress.h"

namespace {

using example::Digits;

constexpr const char* kUsage =
    "usage: %s style.so data-folder [options]\n"
    "  --steps N        how long to paint (1000)\n"
    "  --digit N        the number of the image that is painted (0)\n"
    "  --output FOLDER  where content.ppm, style.ppm and painted.ppm go (style)\n"
    "  --seed N         of the network that judges, and of the first pixels (1)\n"
    "  --threads N      0: as many as there are (0)\n";

struct Options {
  std::string program, data, output = "style";
  int steps = 1000, digit = 0, seed = 1, threads = 0;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  const auto files = example::parse(arguments, {{"--steps", &options.steps, 1},
                                                {"--digit", &options.digit, 0},
                                                {"--output", &options.output},
                                                {"--seed", &options.seed, 0},
                                                {"--threads", &options.threads, 0}});
  if (files.size() != 2) throw example::UsageError("a compiled program and a folder of data are needed");
  options.program = files[0], options.data = files[1];
  return options;
}

// Three planes of size * size pixels, where value(plane, y, x) gives each; y and x are in [0, 1).
template <class Value>
std::vector<float> picture(int size, const Value& value) {
  std::vector<float> planes;
  for (int plane = 0; plane < 3; ++plane)
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x)
        planes.push_back(static_cast<float>(value(plane, (y + 0.5) / size, (x + 0.5) / size)));
  return planes;
}

void run(const Options& options) {
  const Digits digits = example::read_digits(options.data);
  if (options.digit >= digits.size())
    throw example::UsageError("there are " + std::to_string(digits.size()) + " images");
  const nn::Library library = nn::Library::open(options.program);
  nn::Session session(library, {.seed = options.seed, .threads = options.threads});
  const auto paint = session.entry<3>("paint");
  const int size = static_cast<int>(paint.info().inputs[0].shape[3]);

  const std::ptrdiff_t first = options.digit * Digits::kPixels;
  const std::vector<float> content = picture(size, [&](int, double y, double x) {
    const auto row = static_cast<std::ptrdiff_t>(y * Digits::kSide),
               column = static_cast<std::ptrdiff_t>(x * Digits::kSide);
    return digits.images[static_cast<size_t>(first + row * Digits::kSide + column)];
  });
  const std::vector<float> style = picture(size, [](int plane, double y, double x) {
    return 0.5 + 0.5 * std::sin(40 * (x + 0.6 * y) + 2 * std::sin(9 * y) + 2.1 * plane);
  });

  constexpr int kReport = 250;
  for (int done = 0; done < options.steps; done += kReport) {
    const int count = std::min(kReport, options.steps - done);
    char name[32];
    std::snprintf(name, sizeof name, "step %5d", done + count);
    example::Progress progress(name, count, 1, "steps", {"loss", "content", "style"});
    for (int step = 0; step < count; ++step) {
      auto [loss, content_loss, style_loss] = paint(content, style);
      progress.step(loss, content_loss, style_loss);
    }
    progress.finish("");
  }
  const std::filesystem::path folder = options.output;
  std::filesystem::create_directories(folder);
  example::write_colours(folder / "content.ppm", content, size);
  example::write_colours(folder / "style.ppm", style, size);
  example::write_colours(folder / "painted.ppm", session.variable("canvas.pixels"), size);
  std::printf("%s\n", (folder / "painted.ppm").c_str());
}

}  // namespace

int main(int argc, char** argv) {
  return example::guarded_main(argc, argv, kUsage,
                               [](const std::vector<std::string>& arguments) { run(parse(arguments)); });
}
