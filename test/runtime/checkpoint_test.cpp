// Saving and loading: nothing is lost, and no file, however broken, does harm.
#include <gtest/gtest.h>
#include <nn/model.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "hand_model.h"
#include "test/support/temporary_folder.h"

namespace {

namespace fs = std::filesystem;

class Checkpoint : public testing::Test {
 protected:
  std::string read() const {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  void write(const std::string& bytes) const {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // A file with this header and so many bytes of data.
  void write_with_header(const std::string& header, std::size_t data_bytes = 0) const {
    std::string length;
    for (std::size_t i = 0; i < 8; i++) length += static_cast<char>(header.size() >> (8 * i));
    write(length + header + std::string(data_bytes, '\1'));
  }
  std::string load_error(bool partial = false) {
    try {
      partial ? session.load_partial(path) : session.load(path);
    } catch (const nn::Error& error) {
      EXPECT_EQ(error.status(), NN_IO_ERROR);
      std::string text = error.what();
      std::size_t at = text.find(path.string());
      return at == std::string::npos ? text : text.replace(at, path.string().size(), "FILE");
    }
    return "";
  }
  std::string variables() const {
    std::string bytes;
    for (const nn_variable_info& variable : library.variables())
      bytes.append(static_cast<const char*>(session.get(variable.tensor.name).data()), variable.tensor.bytes);
    return bytes;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
  }

  nn::Library library{hand::model};
  nn::Session session{library, {.seed = 7, .threads = 1}};
  std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<int32_t> label = {1, 0, 1, 1};
  const nncc::test::TemporaryFolder folder;
  const fs::path directory = folder.path(), path = directory / "model.safetensors";
};

TEST_F(Checkpoint, GoesOnAsIfNeverStopped) {
  auto steps = [&](nn::Session& s, int count) {
    for (int i = 0; i < count; i++) s.entry("fit")(x, label), s.entry("remember")(1.0f);
  };
  steps(session, 10);
  session.set(hand::odd_name, 3.5f);
  session.save(path);
  EXPECT_EQ(files(), 1u);
  nn::Session other(library, {.seed = 99, .threads = 1});
  other.load(path);
  EXPECT_EQ(other.get("seed").item<int64_t>(), 7);
  EXPECT_EQ(other.get("fit.step").item<int64_t>(), 10);
  EXPECT_EQ(float(other.get(hand::odd_name)), 3.5f);
  steps(session, 10);
  steps(other, 10);
  for (const nn_variable_info& variable : library.variables()) {
    std::string name = variable.tensor.name;
    EXPECT_EQ(std::memcmp(session.get(name).data(), other.get(name).data(), variable.tensor.bytes), 0)
        << name;
  }
}

TEST_F(Checkpoint, ComputesHoistedValuesAgainAfterLoading) {
  session.save(path);
  float before = session.entry<1>("classify")(x).as<float>()[0];
  session.set("net.weight", x);
  session.entry("classify")(x);
  session.load(path);
  EXPECT_EQ(session.entry<1>("classify")(x).as<float>()[0], before);
}

TEST_F(Checkpoint, KeepsHypers) {
  session.save(path);
  session.set("lr", 0.75f);
  session.load(path);
  EXPECT_EQ(float(session.get("lr")), 0.75f);
}

TEST_F(Checkpoint, AlignsTensorsInTheFile) {
  session.save(path);
  std::string bytes = read();
  std::size_t header = static_cast<unsigned char>(bytes[0]) + 256u * static_cast<unsigned char>(bytes[1]);
  EXPECT_EQ((header + 8) % 64, 0u);
}

// A file cut off anywhere is refused, and nothing has changed.
TEST_F(Checkpoint, RefusesEveryTruncation) {
  session.save(path);
  std::string whole = read(), before;
  session.entry("fit")(x, label);
  before = variables();
  for (std::size_t length = 0; length < whole.size(); length++) {
    write(whole.substr(0, length));
    ASSERT_NE(load_error(), "") << length;
    ASSERT_NE(load_error(true), "") << length;
    ASSERT_EQ(variables(), before) << length;
  }
  write(whole + '\0');
  EXPECT_EQ(load_error(), "FILE is not a .safetensors file: it goes on after the last tensor");
  write(whole);
  EXPECT_EQ(load_error(), "");
}

// Each byte of the header changed to several others: loads or is refused; if refused, nothing has changed.
TEST_F(Checkpoint, SurvivesEveryChangedByte) {
  session.save(path);
  std::string whole = read();
  std::size_t header = static_cast<unsigned char>(whole[0]) + 256u * static_cast<unsigned char>(whole[1]);
  session.entry("fit")(x, label);
  for (std::size_t at = 0; at < header + 8; at++) {
    for (char value : {'\0', '"', '}', '9', '\x80'}) {
      std::string changed = whole, before = variables();
      changed[at] = value;
      write(changed);
      if (!load_error().empty()) {
        ASSERT_EQ(variables(), before) << at;
      }
      if (!load_error(true).empty()) {
        ASSERT_EQ(variables(), before) << at;
      }
    }
  }
}

TEST_F(Checkpoint, SaysWhatIsWrongWithAHeader) {
  auto tensor = [](const std::string& name, const std::string& dtype, const std::string& shape, int begin,
                   int end) {
    return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[)" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  struct Case {
    std::string header;
    std::size_t data;
    std::string wrong;
  };
  const Case cases[] = {
      {"", 0, "its header is not a JSON object"},
      {"[]", 0, "its header is not a JSON object"},
      {"{", 0, "its header lacks a string where one must be"},
      {"{}x", 0, "its header goes on after the closing brace"},
      {"{\"a", 0, "a string in its header does not end"},
      {"{\"a\\", 0, "a string in its header does not end"},
      {"{\"\\q\":{}}", 0, "a string in its header has an unknown escape"},
      {"{\"\\ud800\":{}}", 0, "a string in its header has a malformed \\u escape"},
      {"{\"\\udc00\":{}}", 0, "a string in its header has a malformed \\u escape"},
      {"{\"\\u12\":{}}", 0, "a string in its header has a malformed \\u escape"},
      {"{\"a\n\":{}}", 0, "a string in its header has an unescaped control character"},
      {"{\"\xff\":{}}", 0, "its header is not UTF-8"},
      {"{\"\xc0\x80\":{}}", 0, "its header is not UTF-8"},
      {"{\"a\" 1}", 0, "a name in its header is not followed by a colon"},
      {"{\"a\":1}", 0, "a tensor in its header is not an object"},
      {"{\"a\":{}}", 0, "its header lacks a string where one must be"},
      {R"({"a":{"dtype":"F32"}})", 0, "a tensor in its header lacks its type, shape or place"},
      {R"({"a":{"dtype":"F32","dtype":"F32"}})", 0, "a tensor in its header has a property twice"},
      {R"({"a":{"color":"F32"}})", 0, "a tensor in its header has an unknown property"},
      {R"({"a":{"dtype":"F31"}})", 0, "a tensor in its header has an unknown element type"},
      {R"({"a":{"shape":{}}})", 0, "its header lacks an array where one must be"},
      {R"({"a":{"shape":[-1]}})", 0, "its header lacks a whole number where one must be"},
      {R"({"a":{"shape":[1.5]}})", 0, "an array in its header does not end"},
      {R"({"a":{"shape":[01]}})", 0, "a number in its header begins with 0"},
      {R"({"a":{"shape":[18446744073709551616]}})", 0, "a number in its header is too large"},
      {R"({"a":{"shape":[9223372036854775808]}})", 0, "an extent in its header is too large"},
      {R"({"a":{"shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}})", 0,
       "an array in its header has too many numbers"},
      {R"({"a":{"data_offsets":[4]}})", 0, "the place of a tensor in its header is not a range"},
      {R"({"a":{"data_offsets":[4,0]}})", 0, "the place of a tensor in its header is not a range"},
      {"{" + tensor("a", "F32", "[4294967296,4294967296]", 0, 0) + "}", 0,
       "a tensor in its header is too large"},
      {"{" + tensor("a", "F32", "[2]", 0, 4) + "}", 4,
       "the shape of a tensor in its header does not fit its place"},
      {"{" + tensor("a", "F32", "[]", 0, 4) + "," + tensor("b", "F32", "[]", 0, 4) + "}", 8,
       "tensors in its header overlap"},
      {"{" + tensor("a", "F32", "[2]", 0, 8) + "," + tensor("b", "F32", "[]", 4, 8) + "}", 8,
       "tensors in its header overlap"},
      {"{" + tensor("a", "F32", "[]", 4, 8) + "}", 8, "its header leaves a gap between tensors"},
      {"{" + tensor("a", "F32", "[]", 0, 4) + "," + tensor("a", "F32", "[]", 4, 8) + "}", 8,
       "its header has a name twice"},
      {"{" + tensor("a", "F32", "[]", 0, 4) + "," + tensor("\\u0061", "F32", "[]", 4, 8) + "}", 8,
       "its header has a name twice"},
      {"{" + tensor("a", "F32", "[]", 0, 4) + "}", 2, "it ends before the last tensor does"},
      {"{" + tensor("a", "F32", "[]", 0, 4) + "}", 5, "it goes on after the last tensor"},
      {R"({"__metadata__":[]})", 0, "its __metadata__ is not an object"},
      {R"({"__metadata__":{"a":1}})", 0, "its header lacks a string where one must be"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "its header has two __metadata__"},
      {std::string(100000, '{'), 0, "its header lacks a string where one must be"},
  };
  std::string before = variables();
  for (const Case& c : cases) {
    write_with_header(c.header, c.data);
    EXPECT_EQ(load_error(), "FILE is not a .safetensors file: " + c.wrong) << c.header.substr(0, 200);
  }
  write("\xff\xff\xff\xff\xff\xff\xff\xff{}");
  EXPECT_EQ(load_error(), "FILE is not a .safetensors file: its header is longer than the file");
  EXPECT_EQ(variables(), before);
}

TEST_F(Checkpoint, SaysWhatDiffersFromTheModel) {
  write_with_header("{}");
  EXPECT_EQ(load_error(), "cannot load FILE: it lacks net.weight");
  write_with_header(R"({"net.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]}})", 32);
  EXPECT_EQ(load_error(), "cannot load FILE: net.weight is F32[4, 2], the model's is F32[8]");
  EXPECT_EQ(load_error(true), "cannot load FILE: net.weight is F32[4, 2], the model's is F32[8]");
  write_with_header(R"({"net.weight":{"dtype":"F64","shape":[8],"data_offsets":[0,64]}})", 64);
  EXPECT_EQ(load_error(), "cannot load FILE: net.weight is F64[8], the model's is F32[8]");
  write_with_header(R"({"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", 8);
  EXPECT_EQ(load_error(true), "cannot load FILE: it has none of the model's variables");
  session.save(path);
  std::string extra = R"(,"more":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})", bytes = read();
  bytes.insert(bytes.find(",\"net.scale"), extra);
  std::size_t header =
      static_cast<unsigned char>(bytes[0]) + 256u * static_cast<unsigned char>(bytes[1]) + extra.size();
  bytes[0] = static_cast<char>(header), bytes[1] = static_cast<char>(header >> 8);
  write(bytes);
  EXPECT_EQ(load_error(), "cannot load FILE: it has more, which the model lacks");
  EXPECT_EQ(load_error(true), "");
  session.save(path);
  bytes = read();
  bytes.back() = 2;  // the last of net.flags
  write(bytes);
  EXPECT_EQ(load_error(), "cannot load FILE: net.flags is neither true nor false somewhere");
}

TEST_F(Checkpoint, TakesWhatIsThereOfAPartialFile) {
  write_with_header(
      R"( { "net.scale" : {"data_offsets":[2,10], "dtype":"F64","shape":[ ]}, "x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}} )",
      10);
  std::vector<float> before(session.variable("net.weight").begin(), session.variable("net.weight").end());
  session.load_partial(path);
  EXPECT_NE(double(session.get("net.scale")), 0.5);
  EXPECT_TRUE(std::ranges::equal(session.variable("net.weight"), before));
}

TEST_F(Checkpoint, SaysWhyAFileCannotBeReadOrWritten) {
  auto error = [](auto f) {
    try {
      f();
    } catch (const nn::Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(error([&] { session.load("/nonexistent/x"); }),
            "cannot read /nonexistent/x: No such file or directory");
  EXPECT_EQ(error([&] { session.save("/nonexistent/x"); }),
            "cannot write /nonexistent/x: No such file or directory");
  EXPECT_EQ(error([&] { session.load("/dev/zero"); }), "cannot read /dev/zero: it is not a file");
  EXPECT_EQ(error([&] { session.save("/dev/full"); }), "cannot write /dev/full: it is not a file");
  EXPECT_NE(error([&] { session.save(directory); }).find("it is not a file"), std::string::npos);
  EXPECT_NE(error([&] { session.load(directory); }).find("it is not a file"), std::string::npos);
  EXPECT_NE(error([&] { session.save(directory / std::string(300, 'a')); }).find("File name too long"),
            std::string::npos);
  EXPECT_EQ(files(), 0u);
}

}  // namespace
