// Opening shared libraries: models, and files that only look like them.
#include <gtest/gtest.h>
#include <nn/model.h>

#include <fstream>
#include <sstream>

#include "test/support/temporary_folder.h"

namespace {

std::string error_of(const std::string& path) {
  try {
    nn::Library::open(path);
  } catch (const nn::Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

struct TemporaryFile {
  explicit TemporaryFile(const std::string& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  const nncc::test::TemporaryFolder folder;
  const std::string path = folder.file("model.so");
};

TEST(Library, OpensAModel) {
  nn::Library library = nn::Library::open(HAND_SO);
  nn::Session session(library, {.seed = 5, .threads = 2});
  std::vector<float> x(8, 1);
  EXPECT_EQ(session.entry("classify")(x).as<float>()[2], 14);
}

// Two libraries define the same symbols; each uses its own.
TEST(Library, OpensTwoModels) {
  TemporaryFile copy(read(HAND_SO));
  nn::Library first = nn::Library::open(HAND_SO), second = nn::Library::open(copy.path);
  EXPECT_NE(&first.model(), &second.model());
  nn::Session a(first, {.seed = 1, .threads = 2}), b(second, {.seed = 2, .threads = 2});
  EXPECT_EQ(a.variable("net.weight")[0], 1);
  EXPECT_EQ(b.variable("net.weight")[0], 2);
}

TEST(Library, RefusesOtherFiles) {
  EXPECT_EQ(error_of("/nonexistent.so"), "cannot open /nonexistent.so: No such file or directory");
  EXPECT_EQ(error_of("/tmp"), "/tmp is not a file");
  EXPECT_EQ(error_of("/dev/zero"), "/dev/zero is not a file");
  TemporaryFile text("const batch = 64\n");
  EXPECT_EQ(error_of(text.path), text.path + " is not a shared library");
  TemporaryFile empty("");
  EXPECT_EQ(error_of(empty.path), empty.path + " is not a shared library");
  EXPECT_EQ(error_of(OTHER_SO), OTHER_SO " is not a model compiled by nncc");
}

TEST(Library, RefusesModelsItCannotRun) {
  EXPECT_EQ(error_of(OLD_SO), OLD_SO
            " was compiled for version 4 of the interface, this program was for version 1: compile them "
            "with the same nncc");
  EXPECT_EQ(error_of(FUTURE_SO), FUTURE_SO " was compiled for x86-64-v2; this processor lacks qubits");
  std::string foreign = read(HAND_SO);
  foreign[18] = 8;  // e_machine: MIPS
  TemporaryFile file(foreign);
  EXPECT_EQ(error_of(file.path), file.path + " is for another kind of processor");
}

TEST(Library, RefusesEveryTruncation) {
  std::string whole = read(HAND_SO);
  for (std::size_t length = 0; length < whole.size(); length += 1 + whole.size() / 97) {
    TemporaryFile file(whole.substr(0, length));
    EXPECT_NE(error_of(file.path), "") << length;
  }
}

}  // namespace
