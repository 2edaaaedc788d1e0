// Arrays in NumPy's files.
#include "tools/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "test/support/temporary_folder.h"

namespace nncc {
namespace {

std::string npy(const std::string& header, const std::string& data, char version = 1) {
  std::string file = "\x93NUMPY";
  file += {version, '\0', static_cast<char>(header.size()), '\0'};
  if (version > 1) file += std::string(2, '\0');
  return file + header + data;
}

std::string dictionary(const std::string& descr, const std::string& shape,
                       const char* column_major = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + column_major + ", 'shape': " + shape + ", }\n";
}

template <class T>
std::vector<T> elements(const Array& array) {
  std::vector<T> values(array.bytes.size() / sizeof(T));
  std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

Array parse(const std::string& file) {
  std::string why;
  auto array = parse_npy(file, why);
  EXPECT_TRUE(array) << why;
  return array ? *array : Array{};
}

std::string error(const std::string& file) {
  std::string why;
  EXPECT_FALSE(parse_npy(file, why));
  return why;
}

TEST(Npy, ReadsEveryElementType) {
  EXPECT_EQ(parse(npy(dictionary("<f4", "(1,)"), std::string("\0\0\x80\x3f", 4))).type.str(), "f32[1]");
  EXPECT_EQ(elements<float>(parse(npy(dictionary(">f4", "()"), std::string("\x3f\x80\0\0", 4))))[0], 1);
  EXPECT_EQ(elements<int32_t>(parse(npy(dictionary("<i2", "(2,)"), "\xff\xff\x02\x01"))),
            (std::vector<int32_t>{-1, 258}));
  EXPECT_EQ(elements<int32_t>(parse(npy(dictionary(">u2", "(2,)"), "\xff\xff\x02\x01"))),
            (std::vector<int32_t>{65535, 513}));
  EXPECT_EQ(elements<int64_t>(parse(npy(dictionary("<u4", "(1,)"), "\xff\xff\xff\xff"))),
            (std::vector<int64_t>{4294967295}));
  EXPECT_EQ(elements<int64_t>(parse(npy(dictionary("<u8", "(1,)"), std::string("\x05\0\0\0\0\0\0\0", 8)))),
            (std::vector<int64_t>{5}));
  EXPECT_EQ(elements<uint8_t>(parse(npy(dictionary("|b1", "(2,)"), std::string("\x07\0", 2)))),
            (std::vector<uint8_t>{1, 0}));
  EXPECT_EQ(parse(npy(dictionary("|u1", "(2,)"), "ab", 2)).type.str(), "u8[2]");
}

TEST(Npy, TurnsColumnMajorArraysRound) {
  const Array array = parse(npy(dictionary("|i1", "(2, 3)", "True"), std::string("\0\3\1\4\2\5", 6)));
  EXPECT_EQ(elements<int8_t>(array), (std::vector<int8_t>{0, 1, 2, 3, 4, 5}));
}

TEST(Npy, SaysWhatIsWrong) {
  EXPECT_EQ(error(""), "it is not a .npy file");
  EXPECT_EQ(error("const batch = 64"), "it is not a .npy file");
  EXPECT_EQ(error(npy(dictionary("<f4", "(2,)"), "1234567")), "it ends before its last element");
  EXPECT_EQ(error(npy(dictionary("<f4", "(2,)"), "123456789")), "it goes on after its last element");
  EXPECT_EQ(error(npy(dictionary("<f4", "(4611686018427387904, 4)"), "")), "it ends before its last element");
  EXPECT_EQ(error(npy(dictionary("<f16", "(1,)"), std::string(16, 0))),
            "its elements are of a type that tensors cannot have");
  EXPECT_EQ(error(npy(dictionary("<c8", "(1,)"), std::string(8, 0))),
            "its elements are of a type that tensors cannot have");
  EXPECT_EQ(error(npy(dictionary("<u8", "(1,)"), std::string(8, '\xff'))),
            "it has a number that i64 does not hold");
  for (const char* shape : {"(2", "2,)", "(-1,)", "(2;3)", "(a,)"})
    EXPECT_EQ(error(npy(dictionary("<f4", shape), "")),
              "its header is malformed, or it holds something else than numbers")
        << shape;
  EXPECT_EQ(error(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "")),
            "its header is malformed, or it holds something else than numbers");
  const std::string whole = npy(dictionary("<f4", "(2, 2)"), std::string(16, 'x'));
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(error(whole.substr(0, length)), "") << length;
}

TEST(Npy, WritesWhatItReads) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("array.npy");
  for (const DType dtype :
       {DType::F32, DType::F16, DType::F64, DType::I8, DType::U8, DType::I32, DType::I64, DType::Bool}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}}) {
      Array array;
      array.type = {dtype, shape};
      for (int64_t i = 0; i < array.type.byte_size(); ++i)
        array.bytes.push_back(static_cast<std::byte>(i % 2));
      Diagnostics diags;
      ASSERT_TRUE(write_npy(path, array, diags));
      EXPECT_EQ(std::filesystem::file_size(path) % 64, static_cast<size_t>(array.type.byte_size()) % 64);
      const auto read = read_npy(path, diags);
      ASSERT_TRUE(read);
      EXPECT_EQ(read->type, array.type);
      EXPECT_EQ(read->bytes, array.bytes);
    }
  }
  Array bf16;
  bf16.type = {DType::BF16, {1}};
  bf16.bytes = {std::byte{0x80}, std::byte{0x3f}};
  Diagnostics diags;
  ASSERT_TRUE(write_npy(path, bf16, diags));
  EXPECT_EQ(elements<float>(*read_npy(path, diags))[0], 1);
  std::filesystem::remove(path);
  EXPECT_FALSE(read_npy(path, diags));
  EXPECT_FALSE(write_npy("/nonexistent/x.npy", bf16, diags));
}

}  // namespace
}  // namespace nncc
