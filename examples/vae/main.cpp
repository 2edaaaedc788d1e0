// Trains the variational autoencoder of examples/zoo/vae.nn on MNIST; after every epoch it draws digits out
// of noise, as a picture in PGM format.
//
//   nncc examples/zoo/vae.nn -o vae.so
//   vae vae.so examples/data --output digits
//
// Kingma and Welling 2013, "Auto-Encoding Variational Bayes".
#include <nn/model.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <random>
#include <vector>

#include "common/digits.h"
#include "common/options.h"
#include "common/pictures.h"
#include "common/progress.h"

namespace {

using example::Digits;

constexpr const char* kUsage =
    "usage: %s vae.so data-folder [options]\n"
    "  --epochs N       how long to train (20)\n"
    "  --output FOLDER  where pictures go (vae)\n"
    "  --seed N         of weights, noise and the order of images (1)\n"
    "  --threads N      0: as many as there are (0)\n";

struct Options {
  std::string program, data, output = "vae";
  int epochs = 20, seed = 1, threads = 0;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  const auto files = example::parse(arguments, {{"--epochs", &options.epochs, 1},
                                                {"--output", &options.output},
                                                {"--seed", &options.seed, 0},
                                                {"--threads", &options.threads, 0}});
  if (files.size() != 2) throw example::UsageError("a compiled program and a folder of data are needed");
  options.program = files[0], options.data = files[1];
  return options;
}

void run(const Options& options) {
  const Digits digits = example::read_digits(options.data);
  const nn::Library library = nn::Library::open(options.program);
  nn::Session session(library, {.seed = options.seed, .threads = options.threads});
  const auto fit = session.entry<3>("fit");
  const auto generate = session.entry<1>("generate");
  const int batch = static_cast<int>(fit.info().inputs[0].shape[0]), steps = digits.size() / batch;
  const int columns = static_cast<int>(std::ceil(std::sqrt(batch)));

  const std::filesystem::path folder = options.output;
  std::filesystem::create_directories(folder);
  std::vector<float> image(static_cast<size_t>(batch * Digits::kPixels));
  std::vector<int> order(static_cast<size_t>(digits.size()));
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(static_cast<unsigned>(options.seed));
  for (int epoch = 1; epoch <= options.epochs; ++epoch) {
    std::shuffle(order.begin(), order.end(), random);
    char name[32], file[32];
    std::snprintf(name, sizeof name, "epoch %2d", epoch);
    std::snprintf(file, sizeof file, "epoch-%03d.pgm", epoch);
    example::Progress progress(name, steps, batch, "images", {"bound", "reconstruction", "divergence"});
    for (int step = 0; step < steps; ++step) {
      digits.copy_images(
          std::span(order).subspan(static_cast<size_t>(step * batch), static_cast<size_t>(batch)), image);
      auto [bound, reconstruction, divergence] = fit(image);
      progress.step(bound, reconstruction, divergence);
    }
    example::write_grid(folder / file, generate(), columns);
    progress.finish((folder / file).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return example::guarded_main(argc, argv, kUsage,
                               [](const std::vector<std::string>& arguments) { run(parse(arguments)); });
}
