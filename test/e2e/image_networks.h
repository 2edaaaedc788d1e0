// Every train entry of the zoo's networks of images, at reduced sizes: five steps are three, a checkpoint and
// two more, on one thread and on two; and the loss on data that stays the same falls. For what is too large
// for the evaluator.
#pragma once
#include <numeric>

#include "e2e/zoo_programs.h"

namespace nncc::test {

class ImageNetworks : public testing::TestWithParam<Program> {
 protected:
  nn::Library open() const { return compile_and_open(GetParam().path(), GetParam().constants); }
};

TEST_P(ImageNetworks, GoOnFromACheckpointToTheSameBits) {
  const nn::Library library = open();
  for (const std::string& entry : train_entries(library)) {
    SCOPED_TRACE(entry);
    nn::Session whole(library, {.seed = 7, .threads = 1});
    const std::string before = checkpoint_bytes(whole);
    run_steps(whole, entry, 0, 5);
    const std::string expected = checkpoint_bytes(whole);
    EXPECT_FALSE(expected == before) << "nothing is trained";
    const std::string file = temporary_path("three.safetensors");
    nn::Session first(library, {.seed = 7, .threads = 2});
    run_steps(first, entry, 0, 3);
    first.save(file);
    nn::Session second(library, {.seed = 99, .threads = 2});
    second.load(file);
    run_steps(second, entry, 3, 2);
    EXPECT_TRUE(checkpoint_bytes(second) == expected)
        << "5 steps on one thread and 3 + 2 on two threads differ";
  }
}

TEST_P(ImageNetworks, LearnWhatStaysTheSame) {
  const nn::Library library = open();
  for (const std::string& name : train_entries(library)) {
    SCOPED_TRACE(name);
    nn::Session session(library, {.seed = 1, .threads = 2});
    const auto entry = session.entry(name);
    RandomInputs inputs(entry.info(), 5);
    std::vector<double> losses;
    for (int step = 0; step < 30; ++step) losses.push_back(entry.call(inputs.views())[0].item<double>());
    const double end = std::accumulate(losses.end() - 5, losses.end(), 0.0) / 5;
    EXPECT_LT(end, 0.9 * losses[0]);
    std::cout << name << ": " << losses[0] << " " << losses[1] << " .. " << end << std::endl;
  }
}

}  // namespace nncc::test
