// Trains a compiled network on MNIST and prints the held-out accuracy and the confusion matrix.
//
//   nncc examples/zoo/lenet.nn -o lenet.so
//   mnist lenet.so examples/data [epochs] [seed]
//
// Any program will do that has `fit`, of images and labels, giving a loss and an accuracy, and `classify`,
// giving a probability for each digit: mlp.nn takes an image as 784 numbers, lenet.nn as 1x28x28.
#include <nn/model.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "common/digits.h"
#include "common/progress.h"

namespace {

constexpr int kTrain = 8000, kClasses = 10;

int run(const char* model, const char* data, int epochs, int seed) {
  const example::Digits digits = example::read_digits(data);
  const nn::Library library = nn::Library::open(model);
  nn::Session session(library, {.seed = seed});
  auto fit = session.entry<2>("fit");
  auto classify = session.entry<1>("classify");

  const int batch = static_cast<int>(fit.info().inputs[0].shape[0]);
  std::vector<float> image(static_cast<size_t>(batch * example::Digits::kPixels));
  std::vector<int32_t> label(static_cast<size_t>(batch));
  auto take_batch = [&](std::span<const int> from, int first) {
    const auto which = from.subspan(static_cast<size_t>(first), static_cast<size_t>(batch));
    digits.copy_images(which, image);
    digits.copy_labels(which, label);
  };
  std::vector<int> order(kTrain);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(static_cast<unsigned>(seed));

  for (int epoch = 1; epoch <= epochs; ++epoch) {
    std::shuffle(order.begin(), order.end(), random);
    const int steps = kTrain / batch;
    char name[32], rest[64];
    std::snprintf(name, sizeof name, "epoch %2d", epoch);
    example::Progress progress(name, steps, batch, "images");
    double correct = 0;
    for (int step = 0; step < steps; ++step) {
      take_batch(order, step * batch);
      auto [loss, accuracy] = fit(image, label);
      progress.step(loss);
      correct += static_cast<float>(accuracy);
    }
    std::snprintf(rest, sizeof rest, "training accuracy %.2f %%", 100 * correct / steps);
    progress.finish(rest);
  }

  // The last batch is filled up with digits that were counted already.
  std::vector<int> held_out(static_cast<size_t>(digits.size() - kTrain));
  std::iota(held_out.begin(), held_out.end(), kTrain);
  int confusion[kClasses][kClasses] = {}, correct = 0;
  const int count = static_cast<int>(held_out.size());
  for (int done = 0; done < count; done += batch) {
    const int first = std::min(done, count - batch);
    take_batch(held_out, first);
    const std::span<const float> probability = classify(image);
    for (int i = done - first; i < batch; ++i) {
      const auto row = probability.subspan(static_cast<size_t>(i) * kClasses, kClasses);
      const auto guess = std::max_element(row.begin(), row.end()) - row.begin();
      ++confusion[label[static_cast<size_t>(i)]][guess];
      correct += guess == label[static_cast<size_t>(i)];
    }
  }
  std::printf(
      "\nheld-out accuracy %.2f %% (%d of %d)\n\nconfusion matrix: a row for each digit, a column for each "
      "guess\n      ",
      100.0 * correct / count, correct, count);
  for (int guess = 0; guess < kClasses; ++guess) std::printf("%5d", guess);
  for (int digit = 0; digit < kClasses; ++digit) {
    std::printf("\n%5d ", digit);
    for (int guess = 0; guess < kClasses; ++guess) std::printf("%5d", confusion[digit][guess]);
  }
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 5) {
    std::fprintf(stderr, "usage: %s model.so data-folder [epochs] [seed]\n", argv[0]);
    return 1;
  }
  try {
    return run(argv[1], argv[2], argc > 3 ? std::max(1, std::atoi(argv[3])) : 10,
               argc > 4 ? std::atoi(argv[4]) : 42);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
