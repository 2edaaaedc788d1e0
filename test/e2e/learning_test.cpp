// Networks of the zoo learn: on real data their loss falls, and their accuracy rises, to a stated level.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <sstream>

#include "common/idx.h"
#include "e2e/compiled_program.h"
#include "e2e/learning_curve.h"

namespace nncc::test {
namespace {

struct Table {
  std::vector<std::vector<float>> features;  // standardized
  std::vector<int32_t> labels;
};

// One of the UCI tables: a header line, then features and the class.
Table read_table(const std::string& file) {
  Table table;
  std::istringstream lines(read_text(source_path("examples/data/" + file)));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream words(line);
    std::vector<float> row;
    for (float x; words >> x;) row.push_back(x);
    if (row.empty()) continue;
    table.labels.push_back(static_cast<int32_t>(row.back()));
    row.pop_back();
    table.features.push_back(row);
  }
  const auto rows = static_cast<double>(table.features.size());
  for (size_t c = 0; c < table.features[0].size(); ++c) {
    double mean = 0, square = 0;
    for (const auto& row : table.features) mean += row[c] / rows;
    for (const auto& row : table.features) square += (row[c] - mean) * (row[c] - mean) / rows;
    for (auto& row : table.features) row[c] = static_cast<float>((row[c] - mean) / std::sqrt(square + 1e-12));
  }
  return table;
}

// Batches of a shuffled table, epoch after epoch.
class Batches {
 public:
  Batches(const Table& table, size_t batch) : table_(table), order_(table.features.size()), batch_(batch) {
    std::iota(order_.begin(), order_.end(), size_t{0});
  }
  void next() {
    if (at_ + batch_ > order_.size() || at_ == 0)
      std::shuffle(order_.begin(), order_.end(), random_), at_ = 0;
    x.clear(), label.clear();
    for (size_t i = 0; i < batch_; ++i) {
      const auto& row = table_.features[order_[at_ + i]];
      x.insert(x.end(), row.begin(), row.end());
      label.push_back(table_.labels[order_[at_ + i]]);
    }
    at_ += batch_;
  }
  std::vector<float> x;
  std::vector<int32_t> label;

 private:
  const Table& table_;
  std::vector<size_t> order_;
  size_t batch_, at_ = 0;
  std::mt19937 random_{1};
};

Table read_mnist(size_t count) {
  const auto images = example::read_idx(source_path("examples/data/t10k-images-idx3-ubyte.gz"));
  const auto labels = example::read_idx(source_path("examples/data/t10k-labels-idx1-ubyte.gz"));
  Table table;
  for (size_t i = 0; i < count; ++i) {
    std::vector<float> row(784);
    for (size_t k = 0; k < 784; ++k) row[k] = static_cast<float>(images.bytes[784 * i + k]) / 255;
    table.features.push_back(std::move(row));
    table.labels.push_back(labels.bytes[i]);
  }
  return table;
}

const Table& mnist() {
  static const Table table = read_mnist(8000);
  return table;
}

TEST(Learning, BackpropTellsIrisesApart) {
  const Table table = read_table("iris.csv");
  const nn::Library library = compile_and_open(zoo("backprop"));
  nn::Session session(library, {.seed = 1, .threads = 1});
  const auto fit = session.entry<1>("fit");
  Batches batches(table, 1);
  Curve loss;
  for (int step = 0; step < 150 * 100; ++step) {
    batches.next();
    std::vector<float> y(3, 0.0f);
    y[static_cast<size_t>(batches.label[0])] = 1;
    loss.add(fit(batches.x, y));
  }
  EXPECT_LT(loss.end(), 0.06);
  EXPECT_LT(loss.end(), 0.4 * loss.begin());
}

TEST(Learning, LogisticRegressionFindsCancer) {
  const Table table = read_table("breast_cancer.csv");
  const nn::Library library = compile_and_open(zoo("logistic"));
  nn::Session session(library, {.seed = 1, .threads = 1});
  const auto fit = session.entry<2>("fit");
  Batches batches(table, 32);
  Curve loss, accuracy;
  for (int step = 0; step < 600; ++step) {
    batches.next();
    const std::vector<float> y(batches.label.begin(), batches.label.end());
    auto [l, a] = fit(batches.x, y);
    loss.add(l), accuracy.add(a);
  }
  EXPECT_GT(accuracy.end(), 0.97);
  EXPECT_LT(loss.end(), 0.12);
}

TEST(Learning, SupportVectorsTellWinesApart) {
  const Table table = read_table("wine_data.csv");
  const nn::Library library = compile_and_open(zoo("svm"));
  nn::Session session(library, {.seed = 1, .threads = 1});
  const auto multiclass = session.entry<1>("fit_multiclass"), binary = session.entry<1>("fit_binary");
  Batches batches(table, 32);
  Curve many, two;
  for (int step = 0; step < 400; ++step) {
    batches.next();
    many.add(multiclass(batches.x, batches.label));
    std::vector<float> y;
    for (const int32_t label : batches.label) y.push_back(label == 0 ? 1.0f : -1.0f);
    two.add(binary(batches.x, y));
  }
  EXPECT_LT(many.end(), 0.1);
  EXPECT_LT(two.end(), 0.12);
}

TEST(Learning, PerceptronReadsDigits) {
  const nn::Library library = compile_and_open(zoo("mlp"));
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<2>("fit");
  Batches batches(mnist(), 64);
  Curve loss, accuracy;
  for (int step = 0; step < 4 * 125; ++step) {
    batches.next();
    auto [l, a] = fit(batches.x, batches.label);
    loss.add(l), accuracy.add(a);
  }
  EXPECT_GT(accuracy.end(), 0.93);
  EXPECT_LT(loss.end(), 0.2 * loss.begin());
}

TEST(Learning, ConvolutionsReadDigits) {
  const nn::Library library = compile_and_open(zoo("lenet"));
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<2>("fit");
  Batches batches(mnist(), 64);
  Curve loss, accuracy;
  for (int step = 0; step < 2 * 125; ++step) {
    batches.next();
    auto [l, a] = fit(batches.x, batches.label);
    loss.add(l), accuracy.add(a);
  }
  EXPECT_GT(accuracy.end(), 0.92);
  EXPECT_LT(loss.end(), 0.2 * loss.begin());
}

TEST(Learning, AutoencoderRemembersDigits) {
  const nn::Library library = compile_and_open(zoo("autoencoder"));
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<1>("fit");
  Batches batches(mnist(), 64);
  Curve loss;
  for (int step = 0; step < 4 * 125; ++step) batches.next(), loss.add(fit(batches.x));
  EXPECT_LT(loss.end(), 0.04);
  EXPECT_LT(loss.end(), 0.4 * loss.begin());
}

TEST(Learning, VariationalAutoencoderBoundsFall) {
  const nn::Library library = compile_and_open(zoo("vae"));
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<3>("fit");
  Batches batches(mnist(), 64);
  Curve loss;
  for (int step = 0; step < 4 * 125; ++step) {
    batches.next();
    loss.add(fit(batches.x)[0]);
  }
  EXPECT_LT(loss.end(), 160);
  EXPECT_LT(loss.end(), 0.5 * loss.begin());
}

TEST(Learning, SeveralTasksShareATrunk) {
  const nn::Library library = compile_and_open(zoo("multitask"));
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<4>("fit");
  Batches batches(mnist(), 64);
  Curve digit, labels, ink;
  for (int step = 0; step < 3 * 125; ++step) {
    batches.next();
    std::vector<float> bits, amount;
    for (size_t i = 0; i < 64; ++i) {
      bits.push_back(batches.label[i] % 2 == 0 ? 1.0f : 0.0f);
      bits.push_back(batches.label[i] >= 5 ? 1.0f : 0.0f);
      const auto row = batches.x.begin() + static_cast<ptrdiff_t>(784 * i);
      amount.push_back(std::accumulate(row, row + 784, 0.0f) / 100);
    }
    auto [loss, d, l, r] = fit(batches.x, batches.label, bits, amount);
    digit.add(d), labels.add(l), ink.add(r);
  }
  EXPECT_LT(digit.end(), 0.3 * digit.begin());
  EXPECT_LT(labels.end(), 0.35 * labels.begin());
  EXPECT_LT(ink.end(), 0.5 * ink.begin());
}

TEST(Learning, CriticsTellDigitsFromWhatAnUntrainedGeneratorDraws) {
  const nn::Library gan = compile_and_open(zoo("gan"));
  nn::Session session(gan, {.seed = 1});
  const auto step = session.entry<1>("discriminator_step");
  const auto conditional = session.entry<1>("conditional_discriminator_step");
  Batches batches(mnist(), 64);
  Curve plain, labelled;
  for (int i = 0; i < 120; ++i) {
    batches.next();
    for (float& x : batches.x) x = 2 * x - 1;
    plain.add(step(batches.x));
    labelled.add(conditional(batches.x, batches.label));
  }
  EXPECT_LT(plain.end(), 0.45);  // 0.325 is the least that targets of 0.9 and 0 allow
  EXPECT_LT(labelled.end(), 0.2);

  const nn::Library wgan = compile_and_open(zoo("wgan"));
  nn::Session critics(wgan, {.seed = 1});
  const auto clipped = critics.entry<1>("critic_step");
  Curve distance;
  for (int i = 0; i < 300; ++i) {
    batches.next();
    for (float& x : batches.x) x = 2 * x - 1;
    distance.add(clipped(batches.x));
  }
  EXPECT_LT(distance.end(), -0.5);
}

}  // namespace
}  // namespace nncc::test
