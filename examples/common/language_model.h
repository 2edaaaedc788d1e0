// Training and sampling of a language model over characters, whatever network it is. Two programs share the
// weights: one learns from batches of windows, the other takes one symbol a call and keeps in its `memory`
// what it needs to know of those before.
#pragma once
#include <nn/model.h>

#include "common/options.h"
#include "common/progress.h"
#include "common/text.h"

namespace example {

struct LanguageModelOptions {
  std::string program, sampler, data;  // both programs compiled; the folder of data
  std::string weights, prompt = "\n";  // where weights go after training; what a sample begins with
  int steps = 2000, length = 400;      // of training; of the sample
  int seed = 1, threads = 0;
  double temperature = 0.8;
  bool resume = false;

  // Further options of the command line may be given.
  void parse(const std::vector<std::string>& arguments, std::vector<Option> options = {}) {
    std::string resumed;
    for (const Option& option : std::vector<Option>{{"--steps", &steps, 0},
                                                    {"--length", &length, 0},
                                                    {"--temperature", &temperature, 0},
                                                    {"--prompt", &prompt},
                                                    {"--weights", &weights},
                                                    {"--resume", &resumed},
                                                    {"--seed", &seed, 0},
                                                    {"--threads", &threads, 0}})
      options.push_back(option);
    const auto files = example::parse(arguments, options);
    if (files.size() != 3)
      throw UsageError("two compiled programs, the network and its sampler, and a folder of data are needed");
    program = files[0], sampler = files[1], data = files[2];
    if (prompt.empty()) throw UsageError("--prompt needs a character");
    if (!resumed.empty()) weights = resumed, resume = true;
  }
};

inline constexpr const char* kLanguageModelUsage =
    "  --steps N        how long to train (2000)\n"
    "  --weights FILE   where to save the weights\n"
    "  --resume FILE    goes on from saved weights, and saves them there\n"
    "  --temperature T  of the sample: 0 takes the likeliest character, 1 what the network says (0.8)\n"
    "  --length N       characters in the sample (400)\n"
    "  --prompt TEXT    what the sample begins with\n"
    "  --seed N         of weights, windows and the sample (1)\n"
    "  --threads N      0: as many as there are (0)\n";

// Writes the prompt and what the sampler's entry `name` goes on with. It has to begin anew, with the last
// half of what it has seen, after `context` symbols; 0: it never has to.
inline void write_sample(nn::Session& session, const std::string& name, const Text& text,
                         const LanguageModelOptions& options, size_t context) {
  const auto next = session.entry<1>(name);
  std::mt19937 random(static_cast<unsigned>(options.seed));
  std::vector<int32_t> symbols;
  for (const char c : options.prompt) symbols.push_back(text.symbol(c));
  std::vector<int32_t> seen;
  std::span<const float> logits;
  auto feed = [&](int32_t symbol) {
    if (context > 0 && seen.size() == context) {
      session.reset_memory();
      seen.erase(seen.begin(), seen.end() - static_cast<std::ptrdiff_t>(context / 2));
      for (const int32_t s : seen) next(std::span(&s, 1));
    }
    seen.push_back(symbol);
    logits = next(std::span<const int32_t>(&symbol, 1));
  };
  session.reset_memory();
  for (const int32_t symbol : symbols) feed(symbol);
  std::string written = options.prompt;
  for (int i = 0; i < options.length; ++i) {
    const int32_t symbol = draw_symbol(logits, options.temperature, random);
    written += text.alphabet[static_cast<size_t>(symbol)];
    feed(symbol);
  }
  std::printf("%s\n", written.c_str());
}

// Trains the entry `fit`, measures the entry `model` on the last tenth of the text, which training has not
// seen, and writes a sample by the sampler's entry of the same name.
inline void train_and_sample(const LanguageModelOptions& options, const std::string& fit_name,
                             const std::string& model_name, bool limited_context) {
  const Text text = read_text(options.data + "/tinyshakespeare.txt");
  const std::span<const int32_t> all = text.symbols;
  const auto training = all.first(all.size() / 10 * 9), held_out = all.subspan(training.size());

  const nn::Library library = nn::Library::open(options.program);
  nn::Session session(library, {.seed = options.seed, .threads = options.threads});
  if (options.resume) session.load(options.weights);
  const auto fit = session.entry<1>(fit_name);
  const auto model = session.entry<1>(model_name);
  const nn_tensor_info& input = fit.info().inputs[0];
  const int64_t batch = input.shape[0], steps = input.shape[1];
  if (static_cast<size_t>(model.info().outputs[0].shape[2]) != text.alphabet.size())
    throw std::runtime_error(
        "the text has " + std::to_string(text.alphabet.size()) +
        " characters: compile with --set vocabulary=" + std::to_string(text.alphabet.size()));

  Windows windows(batch, steps);
  const auto done = session.get(fit_name + ".step").item<int64_t>();
  std::seed_seq seeds{static_cast<int64_t>(options.seed), done};
  std::mt19937 random(seeds);
  constexpr int kReport = 250;
  for (int first = 0; first < options.steps; first += kReport) {
    const int count = std::min(kReport, options.steps - first);
    char name[48];
    std::snprintf(name, sizeof name, "step %5ld", static_cast<long>(done) + first + count);
    Progress progress(name, count, static_cast<long>(batch * steps), "characters");
    for (int step = 0; step < count; ++step) {
      windows.draw(training, random);
      progress.step(fit(windows.text, windows.next));
    }
    progress.finish("");
  }

  constexpr int kHeldOut = 20;
  double loss = 0;
  std::mt19937 same_windows(0);
  for (int i = 0; i < kHeldOut; ++i) {
    windows.draw(held_out, same_windows);
    loss += cross_entropy(model(windows.text), windows.next) / kHeldOut;
  }
  std::printf("held-out loss %.4f nats a character\n\n", loss);

  const bool keep = !options.weights.empty();
  const std::string weights = keep ? options.weights : options.sampler + ".safetensors";
  session.save(weights);
  nn::Session sampler(nn::Library::open(options.sampler), {.seed = options.seed, .threads = 1});
  sampler.load_partial(weights);
  if (!keep) std::remove(weights.c_str());
  write_sample(sampler, model_name, text, options, limited_context ? static_cast<size_t>(steps) : 0);
}

}  // namespace example
