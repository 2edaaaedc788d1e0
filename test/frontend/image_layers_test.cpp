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

}  // namespace
}  // namespace nncc
