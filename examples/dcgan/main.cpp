// Trains the convolutional adversarial network of examples/zoo/gan.nn on MNIST. After every epoch it draws
// the same 64 points of the noise, so the pictures show how the generator learns.
//
//   nncc examples/zoo/gan.nn -o gan.so
//   dcgan gan.so examples/data --output digits
//
// writes digits/epoch-001.pgm, digits/epoch-002.pgm … and digits/dcgan.safetensors, from which
//
//   dcgan gan.so examples/data --output digits --resume digits/dcgan.safetensors
//
// goes on: the pictures are those of a run that was never stopped. Radford, Metz, Chintala 2015,
// "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks".
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
    "usage: %s gan.so data-folder [options]\n"
    "  --epochs N       how long to train, counted from the very beginning (20)\n"
    "  --steps N        batches an epoch, if not all that the data gives\n"
    "  --output FOLDER  where pictures and weights go (dcgan)\n"
    "  --seed N         of weights, noise and the order of images (1)\n"
    "  --threads N      0: as many as there are (0)\n"
    "  --resume FILE    goes on from saved weights; the other options as before\n";

struct Options {
  std::string model, data, output = "dcgan", resume;
  int epochs = 20, steps = 0, seed = 1, threads = 0;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  const auto files = example::parse(arguments, {{"--epochs", &options.epochs, 1},
                                                {"--steps", &options.steps, 1},
                                                {"--seed", &options.seed, 0},
                                                {"--threads", &options.threads, 0},
                                                {"--output", &options.output},
                                                {"--resume", &options.resume}});
  if (files.size() != 2) throw example::UsageError("a compiled model and a folder of data are needed");
  options.model = files[0], options.data = files[1];
  return options;
}

void run(const Options& options) {
  Digits digits = example::read_digits(options.data);
  for (float& x : digits.images) x = 2 * x - 1;  // what the generator's tanh can draw

  const nn::Library library = nn::Library::open(options.model);
  nn::Session session(library, {.seed = options.seed, .threads = options.threads});
  auto train_discriminator = session.entry<1>("dcgan_discriminator_step");
  auto train_generator = session.entry<1>("dcgan_generator_step");
  auto generate = session.entry<1>("dcgan_generator");
  if (!options.resume.empty()) session.load(options.resume);

  const int batch = static_cast<int>(train_discriminator.info().inputs[0].shape[0]);
  const int all = digits.size() / batch, steps = options.steps > 0 ? std::min(options.steps, all) : all;
  std::vector<float> real(static_cast<size_t>(batch * Digits::kPixels));
  std::vector<float> images(real.size());
  std::vector<int> order(static_cast<size_t>(digits.size()));

  std::mt19937 random(static_cast<unsigned>(options.seed));
  std::normal_distribution<float> normal;
  std::vector<float> noise(generate.info().inputs[0].bytes / sizeof(float));
  for (float& z : noise) z = normal(random);
  const int columns = static_cast<int>(std::ceil(std::sqrt(batch)));

  const std::filesystem::path folder = options.output;
  std::filesystem::create_directories(folder);
  // The weights know how many steps have made them.
  const auto done = session.get("dcgan_discriminator_step.step").item<int64_t>();
  for (auto epoch = static_cast<int>(done / steps) + 1; epoch <= options.epochs; ++epoch) {
    // The order depends on the epoch alone, so that it is the same after a stop.
    std::seed_seq of_epoch{options.seed, epoch};
    std::mt19937 shuffling(of_epoch);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), shuffling);

    char name[32], file[32];
    std::snprintf(name, sizeof name, "epoch %2d", epoch);
    std::snprintf(file, sizeof file, "epoch-%03d.pgm", epoch);
    example::Progress progress(name, steps, batch, "images", {"loss D", "G"});
    for (int step = 0; step < steps; ++step) {
      digits.copy_images(
          std::span(order).subspan(static_cast<size_t>(step * batch), static_cast<size_t>(batch)), real);
      const nn::Output discriminator_loss = train_discriminator(real);
      const nn::Output generator_loss = train_generator();
      progress.step(discriminator_loss, generator_loss);
    }
    const std::span<const float> drawn = generate(noise);
    std::transform(drawn.begin(), drawn.end(), images.begin(), [](float x) { return (x + 1) / 2; });
    example::write_grid(folder / file, images, columns);
    session.save((folder / "dcgan.safetensors").string());
    progress.finish((folder / file).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return example::guarded_main(argc, argv, kUsage,
                               [](const std::vector<std::string>& arguments) { run(parse(arguments)); });
}
