// Indices that do not exist: an error that says which, and nothing has changed.
#include <gtest/gtest.h>

#include <array>

#include "e2e/agreement.h"
#include "e2e/compiled_program.h"

namespace nncc::test {
namespace {

const char* const kWords = R"(
model words(text: i32[2, 4]) -> f32[2, 4, 3] { return embedding(text, 7, 3) }
train fit(text: i32[2, 4]) -> f32 {
  loss = sum(words(text) ** 2)
  minimize loss with adam(0.1)
  return loss
}
model tree(text: i32[2, 4], x: f32[9]) -> f32 {
  return hierarchical_softmax(reshape(x[:8], [2, 4, 1]), text, 5, 3)
}
// Only known while it runs, and in a loop.
model computed(text: i64[2, 4], table: f32[9]) -> f32[4] {
  memory calls: f32 = zeros()
  calls = calls + 1
  s = scan t in transpose(text) axis 0 carry (at = cast(text[0, 0], i64)) {
    at = at + t[0]
    yield table[at] + cast(t[1], f32)
  }
  return s
}
)";

class Indices : public ::testing::Test {
 protected:
  nn::Library library_ = compile_and_open(write_temporary("words.nn", kWords));
  nn::Session session_{library_, {.seed = 1, .threads = 2}};

  template <typename T>
  void expect_error(const char* entry, const std::array<T, 8>& text, const std::string& message) {
    const std::array<float, 9> table{};
    const std::string before = checkpoint_bytes(session_);
    const auto e = session_.entry(entry);
    std::vector<nn::View> views{nn::View(text.data(), {2, 4})};
    if (e.info().num_inputs == 2) views.push_back(nn::View(table.data(), {9}));
    try {
      e.call(views);
      ADD_FAILURE() << "no error";
    } catch (const nn::Error& error) {
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
    EXPECT_TRUE(checkpoint_bytes(session_) == before) << "something has changed";
  }
};

TEST_F(Indices, AreNamedWithTheirPlace) {
  expect_error<int32_t>("fit", {0, 1, 2, 3, 4, 5, 7, 6},
                        "fit: text[1, 2] is 7, and only 0 to 6 can be looked up");
  expect_error<int32_t>("fit", {0, 1, 2, -1, 4, 5, 9, 6}, "fit: text[0, 3] is -1, and only 0 to 6");
  expect_error<int32_t>("words", {0, 1, 2, 3, 4, 5, 6, 1000}, "words: text[1, 3] is 1000");
}

// Not even where a number that is no word would lead to another place in the tree.
TEST_F(Indices, OfWordsInATree) {
  expect_error<int32_t>("tree", {0, 1, 2, -1, 4, 0, 0, 0}, "tree: text[0, 3] is -1, and only 0 to 4");
  expect_error<int32_t>("tree", {0, 1, 2, 3, 5, 0, 0, 0}, "tree: text[1, 0] is 5, and only 0 to 4");
}

TEST_F(Indices, AreCheckedInLoops) {
  expect_error<int64_t>("computed", {1, 2, 3, 4, 0, 0, 0, 0},
                        "computed: at[3] is 11, and only 0 to 8 can be looked up");
}

// Optimizers that change only the rows that were looked up, and such that need the whole gradient, against the
// program as written: a row that is looked up twice, tables that are read twice and in a loop, rows that are no
// whole vectors, enough of them for two threads.
const char* const kRows = R"(
const batch = 40
model product(word: i32[batch], near: i32[batch, 3]) -> f32[batch, 3] {
  param out: f32[11, 50] = normal(0, 0.3)
  param bias: f32[11] = zeros()
  x = embedding(word, 11, 50) + embedding(word, 11, 50)
  return sum(broadcast(reshape(x, [batch, 1, 50]), [batch, 3, 50]) * out[near], -1) + bias[near]
}
model summed(near: i32[batch, 3]) -> f32[batch, 7] {
  param table: f32[11, 7] = normal(0, 0.5)
  s = scan t in transpose(near) axis 0 carry (h = zeros([batch, 7])) {
    h = tanh(h + table[t])
    yield h
  }
  return s[2]
}
train sparse(word: i32[batch], near: i32[batch, 3]) -> f32 {
  loss = mean(product(word, near) ** 2) + sum(summed(near))
  minimize loss with sgd(0.3)
  return loss
}
train clipped(word: i32[batch], near: i32[batch, 3]) -> f32 {
  loss = mean(product(word, near) ** 2)
  minimize loss with clip_norm(0.5) |> sgd(0.3)
  return loss
}
train dense(word: i32[batch], near: i32[batch, 3]) -> f32 {
  loss = mean(product(word, near) ** 2)
  minimize loss with adam(0.01)
  return loss
}
model large(word: i32[batch]) -> f32[batch, 520] { return embedding(word, 300, 520) }
train wide(word: i32[batch]) -> f32 {
  loss = sum(large(word * 20) ** 2)
  minimize loss with sgd(lr = step_decay(0.1, steps = 2))
  return loss
}
)";

TEST(RowsOfTables, AreUpdatedAsTheWholeWouldBe) {
  const std::string program = write_temporary("rows.nn", kRows);
  for (const DType type : {DType::F32, DType::F64})
    for (const int opt_level : {0, 2})
      expect_agreement({.program = program,
                        .float_type = type,
                        .opt_level = opt_level,
                        .largest_int = 10,
                        .tolerance = type == DType::F64 ? 1e-12 : 1e-5});
}

}  // namespace
}  // namespace nncc::test
