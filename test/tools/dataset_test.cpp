// Data for training: files, scaling, batches.
#include "tools/nnrun/dataset.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "test/runtime/hand_model.h"
#include "test/support/temporary_folder.h"
#include "tools/nnrun/data_file.h"
#include "tools/nnrun/evaluate.h"

namespace nncc {
namespace {

class DataFile : public testing::Test {
 protected:
  void write(const std::string& bytes) const { std::ofstream(path, std::ios::binary) << bytes; }

  std::vector<double> read(const std::string& columns = "") {
    const Array array = read_data(path + columns);
    type = array.type.str();
    std::vector<double> values;
    for (int64_t i = 0; i < array.type.num_elements(); ++i)
      values.push_back(nn::detail::convert_element<double>(
          static_cast<nn_dtype>(array.type.dtype),
          &array.bytes[static_cast<size_t>(i * dtype_size(array.type.dtype))]));
    return values;
  }
  std::string error(const std::string& columns = "") {
    try {
      read(columns);
    } catch (const UserError& e) {
      std::string text = e.what();
      const size_t at = text.find(path);
      return at == std::string::npos ? text : text.replace(at, path.size(), "FILE");
    }
    return "";
  }

  const test::TemporaryFolder folder;
  const std::string path = folder.file("data");
  std::string type;
};

using Values = std::vector<double>;

TEST_F(DataFile, ReadsCsv) {
  write("1,2,3\n4,5,6\n");
  EXPECT_EQ(read(), (Values{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(type, "f64[2, 3]");
  EXPECT_EQ(read(":1"), (Values{2, 5}));
  EXPECT_EQ(type, "f64[2]");
  EXPECT_EQ(read(":2,0-1"), (Values{3, 1, 2, 6, 4, 5}));
  write("1;+2.5;-3e2\r\n\r\n 4 ; 5 ;6");
  EXPECT_EQ(read(), (Values{1, 2.5, -300, 4, 5, 6}));
  write("1 2\n3 4\n");
  EXPECT_EQ(read(), (Values{1, 2, 3, 4}));
  write("7\n8\n");
  EXPECT_EQ(read(), (Values{7, 8}));
  write("7");
  EXPECT_EQ(read(), (Values{7}));
}

TEST_F(DataFile, TellsAHeaderFromData) {
  write("\xef\xbb\xbfwidth,\"the \"\"kind\"\"\",petal-width\n1.5,cat,3\n2.5,ant,4\n3.5,cat,5\n");
  EXPECT_EQ(read(":width"), (Values{1.5, 2.5, 3.5}));
  EXPECT_EQ(read(":the \"kind\""), (Values{1, 0, 1}));
  EXPECT_EQ(read(":petal-width"), (Values{3, 4, 5}));
  EXPECT_EQ(read(":1"), (Values{1, 0, 1}));  // classes in order
  EXPECT_EQ(type, "i64[3]");
  EXPECT_EQ(read(":width,petal-width"), (Values{1.5, 3, 2.5, 4, 3.5, 5}));
  write("150,4,setosa\n5.1,3.5\n4.9,3.0\n");
  EXPECT_EQ(read(), (Values{5.1, 3.5, 4.9, 3.0}));
  write("3,2,setosa\n5.1,3.5,7\n4.9,3.0,8\n");  // numbers are never names
  EXPECT_EQ(read(":2"), (Values{7, 8}));
  EXPECT_EQ(read(":0-1"), (Values{5.1, 3.5, 4.9, 3.0}));
  EXPECT_EQ(read(":setosa"), (Values{7, 8}));
  write("cat,1\ndog,2\n");  // text in every line is no header
  EXPECT_EQ(read(":0"), (Values{0, 1}));
}

TEST_F(DataFile, SaysWhereCsvIsWrong) {
  write("1,2\n3\n");
  EXPECT_EQ(error(), "");  // the first line passes for a header
  write("1,2\n3,4\n5\n");
  EXPECT_EQ(error(), "cannot read FILE: line 3 has 1 fields, those before it 2");
  write("1,2\n\n3,4\n5,x\n");
  EXPECT_EQ(error(), "cannot read FILE: line 4, column 1: `x` is not a number");
  EXPECT_EQ(error(":2"), "cannot read FILE: line 4, column 1: `x` is not a number");
  write("1,2\n3,4\n");
  EXPECT_EQ(error(":2"), "FILE has no column 2; it has 2, from 0");
  EXPECT_EQ(error(":1-0"), "columns 1-0: the first comes after the last");
  write("");
  EXPECT_EQ(error(), "cannot read FILE: it has no line");
  write(std::string("\x7f\x00\x12", 3));
  EXPECT_EQ(error(), "cannot read FILE: it is neither .npy, nor IDX, nor CSV");
  std::filesystem::remove(path);
  EXPECT_EQ(error(), "cannot read FILE: No such file or directory");
}

TEST_F(DataFile, ReadsIdxAlsoGzipped) {
  const std::string bytes(
      "\0\0\x08\x02\0\0\0\x02\0\0\0\x03"
      "abcdef",
      18);
  const std::string shorts("\0\0\x0b\x01\0\0\0\x02\x01\x02\xff\xfe", 12);
  write(bytes);
  EXPECT_EQ(read(), (Values{97, 98, 99, 100, 101, 102}));
  EXPECT_EQ(type, "u8[2, 3]");
  write(shorts);
  EXPECT_EQ(read(), (Values{258, -2}));
  write(bytes.substr(0, 17));
  EXPECT_EQ(error(), "cannot read FILE: it ends before its last element");
  write(bytes + "x");
  EXPECT_EQ(error(), "cannot read FILE: it goes on after its last element");
  write(bytes.substr(0, 10));
  EXPECT_EQ(error(), "cannot read FILE: it ends within its header");

  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  EXPECT_EQ(read(), (Values{97, 98, 99, 100, 101, 102}));
  std::string packed = read_unpacked(path);
  EXPECT_EQ(packed, bytes);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 9);
  EXPECT_NE(error(), "");
}

class HandDataset : public DataFile {
 protected:
  // The hand-written model's `fit` takes x: f32[4, 2] and label: i32[4].
  Dataset make(const std::string& csv, const Scaling& scaling = {}) {
    write(csv);
    return Dataset(library, library.entry("fit"), {{"x", path + ":0-1"}, {"label", path + ":2"}}, scaling);
  }
  static float value(const Dataset& data, size_t row, size_t column) {
    float result;
    std::memcpy(&result, data.find("x")->row(row) + 4 * column, 4);
    return result;
  }
  nn::Library library{hand::model};
  const std::string csv = "1,10,0\n2,20,1\n3,30,0\n4,40,1\n5,50,1\n";
};

TEST_F(HandDataset, FillsBatchesAndGoesRound) {
  const Dataset data = make(csv);
  EXPECT_EQ(data.rows(), 5u);
  Batcher batcher(data, library.entry("fit"));
  EXPECT_EQ(batcher.size(), 4u);
  const auto& views = batcher.fill({4, 0, 2}, 2);
  ASSERT_EQ(views.size(), 2u);
  EXPECT_TRUE(views[0].fits(library.inputs("fit")[0]));
  float x[8];
  int32_t label[4];
  std::memcpy(x, views[0].data(), sizeof x);
  std::memcpy(label, views[1].data(), sizeof label);
  EXPECT_EQ((std::vector<float>(x, x + 8)), (std::vector<float>{3, 30, 5, 50, 1, 10, 3, 30}));
  EXPECT_EQ((std::vector<int32_t>(label, label + 4)), (std::vector<int32_t>{0, 1, 0, 0}));
}

TEST_F(HandDataset, RefusesWhatDoesNotFit) {
  const auto error = [&](const Assignments& data) {
    try {
      const Dataset dataset(library, library.entry("fit"), data, {});
      Batcher(dataset, library.entry("fit"));
    } catch (const UserError& e) {
      return std::string(e.what()).substr(0, 61);
    } catch (const nn::Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  write(csv);
  EXPECT_EQ(error({{"x", path + ":0"}, {"label", path + ":2"}}),
            "fit: input x is f32[4, 2], but a row of its data has 1 number");
  EXPECT_EQ(error({{"x", path + ":0-1"}}), "fit: input label (i32[4]) has no data: --data label=FILE");
  EXPECT_EQ(error({{"z", path}}), "there is no z among the inputs of fit: x, label");
  write("1,2,0.5\n3,4,1\n");
  EXPECT_EQ(error({{"label", path + ":2"}}), "--data label: a number does not fit i32 label");
}

TEST_F(HandDataset, StandardizesByTheTrainingRows) {
  Scaling scaling;
  scaling.standardize = true;  // `classify` has an input x, too
  Dataset data = make(csv, scaling);
  data.apply(data.figures(library, scaling, {0, 1, 2}));
  EXPECT_NEAR(value(data, 0, 0), -std::sqrt(1.5), 1e-6);
  EXPECT_NEAR(value(data, 1, 1), 0, 1e-6);
  EXPECT_NEAR(value(data, 4, 1), 3 * std::sqrt(1.5), 1e-5);
  int32_t label;
  std::memcpy(&label, data.find("label")->row(1), 4);
  EXPECT_EQ(label, 1);
}

TEST_F(HandDataset, ScalesToTheUnitRange) {
  Scaling scaling;
  scaling.scale_inputs = {"x"};
  Dataset data = make(csv, scaling), other = make(csv);
  const ScalingFigures figures = data.figures(library, scaling, {0, 1});
  data.apply(figures);
  write_figures(path, figures);
  other.apply(read_figures(path));
  EXPECT_FLOAT_EQ(value(data, 1, 1), 1);
  EXPECT_FLOAT_EQ(value(data, 0, 0), 0);
  EXPECT_FLOAT_EQ(value(other, 4, 1), 49.0f / 19);
}

TEST_F(HandDataset, ShufflesBySeedAndEpochAlone) {
  const Rows once = shuffled(all_rows(100), 3, 5);
  EXPECT_EQ(once, shuffled(all_rows(100), 3, 5));
  EXPECT_NE(once, shuffled(all_rows(100), 3, 6));
  EXPECT_NE(once, shuffled(all_rows(100), 4, 5));
  EXPECT_EQ(std::set<uint32_t>(once.begin(), once.end()).size(), 100u);
}

TEST_F(HandDataset, MeasuringChangesNothing) {
  const Dataset data = make(csv);
  nn::Session session(library, {.threads = 1});
  Evaluator evaluator(session, data, library.entry("fit"));
  const Figures first = evaluator.measure(all_rows(5)), second = evaluator.measure(all_rows(5));
  EXPECT_EQ(first.values, second.values);
  EXPECT_EQ(session.get("fit.step").item<int64_t>(), 0);
  EXPECT_EQ(first.values[0].first, "loss");
  EXPECT_FALSE(first.higher_is_better);
  EXPECT_FALSE(first.better_than(second));
}

}  // namespace
}  // namespace nncc
