// The programs of the zoo, whole: what is compiled agrees with the reference evaluator, gives the same bits
// on one and two threads, and goes on from a checkpoint to the same bits as if it had never stopped.
#pragma once
#include <gtest/gtest.h>

#include "e2e/agreement.h"
#include "e2e/compiled_program.h"

namespace nncc::test {

struct Program {
  std::string name;
  std::map<std::string, std::string> constants = {};

  std::string path() const { return source_path("examples/zoo/" + name + ".nn"); }
};
inline void PrintTo(const Program& p, std::ostream* out) { *out << p.name; }

class Zoo : public testing::TestWithParam<Program> {};

inline std::vector<std::string> train_entries(const nn::Library& library) {
  std::vector<std::string> names;
  for (const nn_entry_info& entry : library.entries())
    if (entry.kind == NN_ENTRY_TRAIN) names.push_back(entry.name);
  return names;
}

inline void run_steps(nn::Session& session, const std::string& name, int first, int count) {
  const auto entry = session.entry(name);
  for (int step = first; step < first + count; ++step) {
    RandomInputs inputs(entry.info(), 1000 + static_cast<uint64_t>(step));
    entry.call(inputs.views());
  }
}

TEST_P(Zoo, GoesOnFromACheckpointToTheSameBits) {
  const nn::Library library = compile_and_open(GetParam().path(), GetParam().constants);
  for (const std::string& entry : train_entries(library)) {
    SCOPED_TRACE(entry);
    nn::Session whole(library, {.seed = 7, .threads = 1});
    run_steps(whole, entry, 0, 20);
    const std::string expected = checkpoint_bytes(whole);
    for (const int threads : {1, 2}) {
      SCOPED_TRACE(threads);
      nn::Session first(library, {.seed = 7, .threads = threads});
      run_steps(first, entry, 0, 10);
      const std::string file = temporary_path("half.safetensors");
      first.save(file);
      nn::Session second(library, {.seed = 99, .threads = threads});
      second.load(file);
      run_steps(second, entry, 10, 10);
      EXPECT_TRUE(checkpoint_bytes(second) == expected) << "20 steps in a row and 10 + 10 differ";
    }
  }
}

TEST_P(Zoo, AgreesWithTheEvaluator) {
  expect_agreement({.program = GetParam().path(),
                    .constants = GetParam().constants,
                    .float_type = DType::F64,
                    .threads = 2,
                    .steps = 2,
                    .largest_int = 1,
                    .tolerance = 1e-9});
}

}  // namespace nncc::test
