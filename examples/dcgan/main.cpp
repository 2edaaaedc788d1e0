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
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <vector>

#include "common/digits.h"
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

struct UsageError : std::runtime_error {
  using runtime_error::runtime_error;
};

int parse_number(const std::string& option, const std::string& text, int least) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least)
    throw UsageError(option + " needs an integer of at least " + std::to_string(least) + ", got " + text);
  return value;
}

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  std::vector<std::string> files;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      files.push_back(argument);
      continue;
    }
    auto value = [&] {
      if (++i == arguments.size()) throw UsageError(argument + " needs a value");
      return arguments[i];
    };
    if (argument == "--epochs")
      options.epochs = parse_number(argument, value(), 1);
    else if (argument == "--steps")
      options.steps = parse_number(argument, value(), 1);
    else if (argument == "--seed")
      options.seed = parse_number(argument, value(), 0);
    else if (argument == "--threads")
      options.threads = parse_number(argument, value(), 0);
    else if (argument == "--output")
      options.output = value();
    else if (argument == "--resume")
      options.resume = value();
    else
      throw UsageError("there is no option " + argument);
  }
  if (files.size() != 2) throw UsageError("a compiled model and a folder of data are needed");
  options.model = files[0], options.data = files[1];
  return options;
}

// Writes images with values in [-1, 1] as a grid of `columns`, on black.
void write_grid(const std::filesystem::path& path, std::span<const float> images, int columns) {
  constexpr int kSide = static_cast<int>(Digits::kSide), kCell = kSide + 2;
  const auto count = static_cast<int>(images.size()) / (kSide * kSide);
  const int rows = (count + columns - 1) / columns, width = columns * kCell, height = rows * kCell;
  std::string pixels(static_cast<size_t>(width * height), '\0');
  for (int i = 0; i < count * kSide * kSide; ++i) {
    const int image = i / (kSide * kSide), y = i / kSide % kSide, x = i % kSide;
    const int row = image / columns * kCell + 1 + y, column = image % columns * kCell + 1 + x;
    const float gray = (images[static_cast<size_t>(i)] + 1) / 2;
    pixels[static_cast<size_t>(row * width + column)] =
        static_cast<char>(std::lround(255 * std::clamp(gray, 0.0f, 1.0f)));
  }
  std::ofstream file(path, std::ios::binary);
  file << "P5\n" << width << ' ' << height << "\n255\n" << pixels;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
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
    write_grid(folder / file, generate(noise), columns);
    session.save((folder / "dcgan.safetensors").string());
    progress.finish((folder / file).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse({argv + 1, argv + argc}));
    return 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    std::fprintf(stderr, kUsage, argv[0]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  }
  return 1;
}
