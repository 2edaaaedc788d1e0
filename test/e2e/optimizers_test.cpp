// Every optimizer of the library follows its published rule: 50 steps of examples/zoo/optimizers.nn against
// trajectories that data/optimizers.py computed in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "e2e/compiled_program.h"

namespace nncc::test {
namespace {

constexpr int kCoordinates = 16;

TEST(Optimizers, FollowTheirPublishedRules) {
  const nn::Library library = compile_and_open(source_path("examples/zoo/optimizers.nn"));
  std::vector<float> scale(kCoordinates), target(kCoordinates);
  for (size_t i = 0; i < kCoordinates; ++i) {
    scale[i] = 0.5f + static_cast<float>(i) / kCoordinates;
    target[i] = static_cast<float>(1 + (i % 2 == 0 ? 1 : -1) * (4 + std::sin(static_cast<double>(i))));
  }
  std::istringstream lines(read_text(source_path("test/e2e/data/optimizers.txt")));
  std::unique_ptr<nn::Session> session;
  std::string name, line;
  int trajectories = 0;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string entry;
    int step = 0;
    double loss = 0;
    words >> entry >> step >> loss;
    if (entry != name) {
      name = entry;
      session = std::make_unique<nn::Session>(library, nn::SessionOptions{.threads = 1});
      ++trajectories;
    }
    SCOPED_TRACE(entry + " step " + std::to_string(step));
    ASSERT_NEAR(session->entry<1>(entry)(scale, target), loss, 1e-5 * std::max(1.0, std::abs(loss)));
    const auto x = session->variable("point.x");
    for (size_t i = 0; i < kCoordinates; ++i) {
      double expected = 0;
      ASSERT_TRUE(words >> expected);
      ASSERT_NEAR(x[i], expected, 1e-5) << "coordinate " << i;
    }
  }
  EXPECT_EQ(trajectories, 11);
}

}  // namespace
}  // namespace nncc::test
