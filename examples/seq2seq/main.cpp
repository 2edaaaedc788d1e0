// Teaches the encoder and decoder of examples/zoo/seq2seq.nn to write sequences of symbols backwards, and
// counts how many of those that it has not seen it gets right from the first symbol to the last. The weights
// that it is judged by are the mean over the last hundreds of steps.
//
//   nncc examples/zoo/seq2seq.nn --set target_steps=12 --set source_words=10 --set target_words=11
//       --set units=256 --set batch=64 -o reverse.so
//   seq2seq reverse.so
//
// Any extents will do where source_steps = target_steps and target_words = source_words + 1: the word more is
// what the decoder begins with. Sutskever, Vinyals, Le 2014, "Sequence to Sequence Learning with Neural
// Networks".
#include <nn/model.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "common/options.h"
#include "common/progress.h"
#include "common/weight_average.h"

namespace {

constexpr const char* kUsage =
    "usage: %s reverse.so [options]\n"
    "  --steps N     how long to train (4000)\n"
    "  --seed N      of weights and sequences (1)\n"
    "  --threads N   0: as many as there are (0)\n";

struct Options {
  std::string program;
  int steps = 4000, seed = 1, threads = 0;
};

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  const auto files = example::parse(
      arguments,
      {{"--steps", &options.steps, 1}, {"--seed", &options.seed, 0}, {"--threads", &options.threads, 0}});
  if (files.size() != 1) throw example::UsageError("a compiled program is needed");
  options.program = files[0];
  return options;
}

// Random sequences; what the decoder is given, and what it is to answer at each place.
struct Sequences {
  size_t count, length;
  int32_t symbols;
  std::vector<int32_t> source, given, expected;

  Sequences(size_t count_, size_t length_, int32_t symbols_)
      : count(count_),
        length(length_),
        symbols(symbols_),
        source(count * length),
        given(source),
        expected(source) {}
  void draw(std::mt19937& random) {
    std::uniform_int_distribution<int32_t> symbol(0, symbols - 1);
    for (int32_t& s : source) s = symbol(random);
    for (size_t i = 0; i < count; ++i) {
      const size_t row = i * length;
      for (size_t t = 0; t < length; ++t) {
        expected[row + t] = source[row + length - 1 - t];
        given[row + t] = t == 0 ? symbols : expected[row + t - 1];
      }
    }
  }
};

// The likeliest word at each place, given the likeliest at those before. The decoder takes whole sequences:
// what it says about a place depends on the places before alone.
std::vector<int32_t> decode(const nn::Entry<1>& decoder, std::span<const float> context,
                            const Sequences& shape) {
  std::vector<int32_t> given(shape.source.size(), shape.symbols), answer(given.size());
  const auto words = static_cast<size_t>(shape.symbols) + 1;
  for (size_t t = 0; t < shape.length; ++t) {
    const std::span<const float> logits = decoder(context, given);
    for (size_t i = 0; i < shape.count; ++i) {
      const size_t place = i * shape.length + t;
      const auto row = logits.subspan(place * words, words);
      answer[place] = static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
      if (t + 1 < shape.length) given[place + 1] = answer[place];
    }
  }
  return answer;
}

std::string text(std::span<const int32_t> symbols) {
  std::string result;
  for (const int32_t s : symbols) result += static_cast<char>(s < 26 ? 'a' + s : '?');
  return result;
}

void run(const Options& options) {
  const nn::Library library = nn::Library::open(options.program);
  nn::Session session(library, {.seed = options.seed, .threads = options.threads});
  const auto fit = session.entry<1>("fit");
  nn::Session averaged(library, {.threads = options.threads});
  const auto encoder = averaged.entry<1>("encoder"), decoder = averaged.entry<1>("decoder");
  example::WeightAverage average(session, 0.995);
  const nn_tensor_info &source = fit.info().inputs[0], &target = fit.info().inputs[1];
  const int64_t words = decoder.info().outputs[0].shape[2];
  if (source.shape[1] != target.shape[1] || session.get("encoder.embedding.weight").shape()[0] != words - 1)
    throw std::runtime_error(
        "to reverse sequences the program needs source_steps = target_steps and target_words = source_words "
        "+ 1");

  Sequences sequences(static_cast<size_t>(source.shape[0]), static_cast<size_t>(source.shape[1]),
                      static_cast<int32_t>(words - 1));
  std::mt19937 random(static_cast<unsigned>(options.seed));
  constexpr int kReport = 500, kMeasured = 32;
  for (int first = 0; first < options.steps; first += kReport) {
    const int count = std::min(kReport, options.steps - first);
    char name[32];
    std::snprintf(name, sizeof name, "step %5d", first + count);
    example::Progress progress(name, count, source.shape[0], "sequences");
    for (int step = 0; step < count; ++step) {
      sequences.draw(random);
      progress.step(fit(sequences.source, sequences.given, sequences.expected));
      average.add();
    }
    progress.finish("");
  }

  average.copy_to(averaged);
  size_t right = 0;
  std::vector<int32_t> answer;
  for (int i = 0; i < kMeasured; ++i) {
    sequences.draw(random);
    answer = decode(decoder, encoder(sequences.source), sequences);
    for (size_t k = 0; k < answer.size(); k += sequences.length)
      right += std::equal(answer.begin() + static_cast<std::ptrdiff_t>(k),
                          answer.begin() + static_cast<std::ptrdiff_t>(k + sequences.length),
                          sequences.expected.begin() + static_cast<std::ptrdiff_t>(k));
  }
  for (size_t i = 0; i < std::min<size_t>(4, sequences.count); ++i) {
    const auto row = [&](const std::vector<int32_t>& of) {
      return text(std::span(of).subspan(i * sequences.length, sequences.length));
    };
    std::printf("%s -> %s\n", row(sequences.source).c_str(), row(answer).c_str());
  }
  const size_t all = kMeasured * sequences.count;
  std::printf("exact match %.2f %% (%zu of %zu)\n",
              100.0 * static_cast<double>(right) / static_cast<double>(all), right, all);
}

}  // namespace

int main(int argc, char** argv) {
  return example::guarded_main(argc, argv, kUsage,
                               [](const std::vector<std::string>& arguments) { run(parse(arguments)); });
}
