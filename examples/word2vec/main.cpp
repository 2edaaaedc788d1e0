// Learns vectors of words with examples/word2vec/word2vec.nn from the works of Shakespeare and prints which words
// lie next to each other.
//
//   nncc examples/word2vec/word2vec.nn -o word2vec.so
//   word2vec word2vec.so examples/data
//
// The program's number of words is how many of the most frequent are learned; the others are left out.
// Mikolov et al. 2013, "Efficient Estimation of Word Representations in Vector Space".
#include <nn/model.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>
#include <vector>

#include "common/options.h"
#include "common/progress.h"
#include "common/text.h"

namespace {

constexpr const char* kUsage =
    "usage: %s word2vec.so data-folder [options]\n"
    "  --steps N     how long to train (20000)\n"
    "  --window N    how far apart two words are at most that are learned as neighbours (4)\n"
    "  --words LIST  whose nearest words are printed, separated by commas (king,love,sword,he,my,come)\n"
    "  --seed N      of weights and pairs of words (1)\n"
    "  --threads N   0: as many as there are (0)\n";

struct Options {
  std::string program, data, words = "king,love,sword,he,my,come";
  int steps = 20000, window = 4, seed = 1, threads = 0;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  const auto files = example::parse(arguments, {{"--steps", &options.steps, 1},
                                                {"--window", &options.window, 1},
                                                {"--words", &options.words},
                                                {"--seed", &options.seed, 0},
                                                {"--threads", &options.threads, 0}});
  if (files.size() != 2) throw example::UsageError("a compiled program and a folder of data are needed");
  options.program = files[0], options.data = files[1];
  return options;
}

std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c)) || c == '\'')
      words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// The `size` most frequent words, the most frequent first, and the text in numbers of those.
struct Corpus {
  std::vector<std::string> words;
  std::vector<int32_t> text;
  std::vector<double> keep;  // the probability with which an occurrence of a word is used

  Corpus(const std::string& raw, size_t size) {
    const auto all = split_words(raw);
    std::map<std::string, long> counts;
    for (const auto& word : all) ++counts[word];
    std::vector<std::pair<long, std::string>> order;
    for (const auto& [word, count] : counts) order.emplace_back(-count, word);
    if (order.size() < size) throw std::runtime_error("the text has fewer words than the program");
    std::sort(order.begin(), order.end());
    std::map<std::string, int32_t> index;
    for (size_t i = 0; i < size; ++i) {
      index[order[i].second] = static_cast<int32_t>(i);
      words.push_back(order[i].second);
      // Section 2.3 of "Distributed Representations of Words and Phrases": frequent words say little.
      keep.push_back(
          std::sqrt(1e-3 * static_cast<double>(all.size()) / static_cast<double>(-order[i].first)));
    }
    for (const auto& word : all)
      if (const auto at = index.find(word); at != index.end()) text.push_back(at->second);
  }
};

// Pairs of a word and one of its neighbours, from anywhere in the text.
class Pairs {
 public:
  Pairs(const Corpus& corpus, size_t batch, int window, int seed)
      : word(batch), context(batch), corpus_(corpus), window_(window), random_(static_cast<unsigned>(seed)) {}
  void draw() {
    const auto last = static_cast<int64_t>(corpus_.text.size()) - 1;
    std::uniform_int_distribution<int64_t> anywhere(0, last), distance(1, window_);
    std::uniform_real_distribution<double> chance;
    for (size_t i = 0; i < word.size();) {
      const int64_t at = anywhere(random_), by = distance(random_),
                    other = chance(random_) < 0.5 ? at - by : at + by;
      if (other < 0 || other > last) continue;
      word[i] = corpus_.text[static_cast<size_t>(at)], context[i] = corpus_.text[static_cast<size_t>(other)];
      i += chance(random_) < keep(word[i]) * keep(context[i]);
    }
  }
  std::vector<int32_t> word, context;

 private:
  double keep(int32_t of) const { return std::min(1.0, corpus_.keep[static_cast<size_t>(of)]); }

  const Corpus& corpus_;
  int64_t window_;
  std::mt19937 random_;
};

// The words whose vectors have the largest cosine with that of `word`.
std::string nearest(std::span<const float> table, const std::vector<std::string>& words, size_t word) {
  const size_t width = table.size() / words.size();
  auto product = [&](size_t a, size_t b) {
    double sum = 0;
    for (size_t k = 0; k < width; ++k) sum += double{table[a * width + k]} * table[b * width + k];
    return sum;
  };
  std::vector<std::pair<double, size_t>> others;
  for (size_t i = 0; i < words.size(); ++i)
    if (i != word) others.emplace_back(-product(i, word) / std::sqrt(product(i, i) * product(word, word)), i);
  constexpr size_t kShown = 5;
  const size_t count = std::min(kShown, others.size());
  std::partial_sort(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(count), others.end());
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    char entry[64];
    std::snprintf(entry, sizeof entry, " %s %.2f", words[others[i].second].c_str(), -others[i].first);
    text += entry;
  }
  return text;
}

void run(const Options& options) {
  const nn::Library library = nn::Library::open(options.program);
  nn::Session session(library, {.seed = options.seed, .threads = options.threads});
  const auto fit = session.entry<1>("fit");
  const auto size = static_cast<size_t>(session.get("vectors.embedding.weight").shape()[0]);
  const Corpus corpus(example::read_file(options.data + "/tinyshakespeare.txt"), size);
  const auto batch = static_cast<size_t>(fit.info().inputs[0].shape[0]);
  Pairs pairs(corpus, batch, options.window, options.seed);
  constexpr int kReport = 2000;
  for (int first = 0; first < options.steps; first += kReport) {
    const int count = std::min(kReport, options.steps - first);
    char name[32];
    std::snprintf(name, sizeof name, "step %6d", first + count);
    example::Progress progress(name, count, static_cast<long>(batch), "pairs");
    for (int step = 0; step < count; ++step) {
      pairs.draw();
      progress.step(fit(pairs.word, pairs.context));
    }
    progress.finish("");
  }
  const std::span<const float> table = session.variable("vectors.embedding.weight");
  for (const std::string& word : split_words(options.words)) {
    const auto at = std::find(corpus.words.begin(), corpus.words.end(), word);
    if (at == corpus.words.end())
      std::printf("%s: not among the %zu most frequent words\n", word.c_str(), size);
    else
      std::printf("%s:%s\n", word.c_str(),
                  nearest(table, corpus.words, static_cast<size_t>(at - corpus.words.begin())).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return example::guarded_main(argc, argv, kUsage,
                               [](const std::vector<std::string>& arguments) { run(parse(arguments)); });
}
