// The layers for images: values, gradients and states as PyTorch computes them (data/image_layers.py).
#include <sstream>

#include "traced_program.h"

namespace nncc {
namespace {

using Values = TracedProgram::Values;
constexpr double kTolerance = 1e-8;  // the file has ten digits

struct Case {
  std::string call, shape;
  Values x, inference, training, seed, gradient;
  std::map<std::string, Values> set, weight, state;
};

std::vector<Case> read_cases() {
  std::ifstream in(NNCC_SOURCE_DIR "/test/frontend/data/image_layers.txt");
  std::vector<Case> cases;
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string kind, variable;
    words >> kind;
    if (kind == "case") {
      const size_t begin = kind.size() + 1, bar = line.find(" | ");
      cases.push_back(
          {line.substr(begin, bar - begin), line.substr(bar + 3), {}, {}, {}, {}, {}, {}, {}, {}});
      continue;
    }
    Case& c = cases.back();
    Values* values = nullptr;
    if (kind == "set" || kind == "weight" || kind == "state") {
      words >> variable;
      values = &(kind == "set" ? c.set : kind == "weight" ? c.weight : c.state)[variable];
    } else {
      values = &(kind == "x"           ? c.x
                 : kind == "inference" ? c.inference
                 : kind == "training"  ? c.training
                 : kind == "seed"      ? c.seed
                                       : c.gradient);
    }
    for (double v = 0; words >> v;) values->push_back(v);
  }
  return cases;
}

TEST(ImageLayers, DoWhatPyTorchDoes) {
  const std::vector<Case> cases = read_cases();
  EXPECT_EQ(cases.size(), 40u);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.call + " of " + c.shape);
    const std::string size = std::to_string(c.seed.size());
    // With a rate of 1, what a step takes off a parameter is its gradient.
    TracedProgram program(
        "model f(x: f32[" + c.shape + "]) { return " + c.call + " }\n" + "train t(x: f32[" + c.shape +
        "], seed: f32[" + size + "]) {\n" + "  y = f(x)\n  loss = sum(reshape(y, [" + size + "]) * seed)\n" +
        (c.weight.empty() ? "" : "  minimize loss with sgd(1)\n") + "  return y, grad(loss, x)\n}\n");
    for (const auto& [name, value] : c.set) program.set_variable(name, value);
    expect_near(program.run("f", {c.x})[0], c.inference, kTolerance);
    const auto results = program.run("t", {c.x, c.seed});
    expect_near(results[0], c.training, kTolerance);
    expect_near(results[1], c.gradient, kTolerance);
    for (const auto& [name, gradient] : c.weight) {
      SCOPED_TRACE(name);
      Values change = c.set.at(name);
      const Values after = program.variable(name);
      for (size_t i = 0; i < change.size(); ++i) change[i] -= after[i];
      expect_near(change, gradient, kTolerance);
    }
    for (const auto& [name, value] : c.state) {
      SCOPED_TRACE(name);
      expect_near(program.variable(name), value, kTolerance);
    }
  }
}

constexpr int kImages = 40, kHeight = 3, kWidth = 4;

// Images of different numbers above 0.
Values numbered_images() {
  Values x(kImages * 2 * kHeight * kWidth);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i) + 1;
  return x;
}

double pixel(const Values& x, int image, int channel, int row, int column) {
  if (row < 0 || row >= kHeight || column < 0 || column >= kWidth) return 0;
  return x[((image * 2 + channel) * kHeight + row) * kWidth + column];
}

TEST(Images, Standardize) {
  TracedProgram program(
      "model a(x: f32[1, 2, 2]) { return standardize(x, [1, 0.5], [2, 4]) }\n"
      "model b(x: f32[1, 2, 1, 2]) { return standardize(x, 1, 0.5) }\n"
      "model c(x: f32[1, 2, 1, 2]) { return standardize(x) }\n");
  expect_near(program.run("a", {{1, 2, 3, 4}})[0], {0, 0.5, 0.625, 0.875});
  expect_near(program.run("b", {{1, 2, 3, 4}})[0], {0, 2, 4, 6});
  expect_near(program.run("c", {{1, 2, 3, 4}})[0], {1, 2, 3, 4});
}

TEST(Images, RandomFlipMirrorsWholeImages) {
  TracedProgram program(
      "model f(x: f32[40, 2, 3, 4]) { return random_flip(x) }\n"
      "train t(x: f32[40, 2, 3, 4]) { return f(x) }\n"
      "train always(x: f32[40, 2, 3, 4]) { return random_flip(x, 1) }\n");
  const Values x = numbered_images();
  expect_near(program.run("f", {x})[0], x);
  const auto mirrored = [&](const Values& y, int image) {
    int count = 0;
    for (int i = 0; i < 2 * kHeight * kWidth; ++i) {
      const int c = i / kWidth / kHeight, row = i / kWidth % kHeight, column = i % kWidth;
      const double found = pixel(y, image, c, row, column);
      const bool turned = found == pixel(x, image, c, row, kWidth - 1 - column);
      EXPECT_TRUE(turned || found == pixel(x, image, c, row, column));
      count += turned;
    }
    EXPECT_TRUE(count == 0 || count == 2 * kHeight * kWidth);
    return count > 0;
  };
  const Values y = program.run("t", {x})[0], always = program.run("always", {x})[0];
  int count = 0;
  for (int image = 0; image < kImages; ++image) {
    count += mirrored(y, image);
    EXPECT_TRUE(mirrored(always, image));
  }
  EXPECT_NEAR(count, kImages / 2, 12);
  EXPECT_NE(program.run("t", {x})[0], y);
}

TEST(Images, RandomCropTakesEveryPlace) {
  TracedProgram program(
      "model f(x: f32[40, 2, 3, 4]) { return random_crop(x, [2, 4], padding = [0, 1]) }\n"
      "train t(x: f32[40, 2, 3, 4]) { return f(x) }\n"
      "model same(x: f32[40, 2, 3, 4]) { return random_crop(x, [3, 4], padding = 2) }\n");
  const Values x = numbered_images();
  expect_near(program.run("same", {x})[0], x);
  // The rows and columns at which a part of 2 x 4 was taken.
  const auto place = [&](const Values& y, int image) {
    for (int top = 0; top < 2; ++top)
      for (int left = -1; left < 2; ++left) {
        bool all = true;
        for (int i = 0; i < 16; ++i)
          all &= y[image * 16 + i] == pixel(x, image, i / 8, top + i / 4 % 2, left + i % 4);
        if (all) return std::pair{top, left};
      }
    ADD_FAILURE() << "image " << image << " is no part";
    return std::pair{9, 9};
  };
  const Values middle = program.run("f", {x})[0], y = program.run("t", {x})[0];
  std::map<std::pair<int, int>, int> count;
  for (int image = 0; image < kImages; ++image) {
    EXPECT_EQ(place(middle, image), (std::pair{0, 0}));
    ++count[place(y, image)];
  }
  EXPECT_EQ(count.size(), 6u);
  EXPECT_NE(program.run("t", {x})[0], y);
}

}  // namespace
}  // namespace nncc
