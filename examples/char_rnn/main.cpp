// Trains a recurrent network of examples/zoo/char_rnn.nn on the works of Shakespeare, then lets it write.
//
//   nncc examples/zoo/char_rnn.nn -o char_rnn.so
//   nncc examples/char_rnn/sampler.nn -o sampler.so
//   char_rnn char_rnn.so sampler.so examples/data --cell lstm
//
// Karpathy 2015, "The Unreasonable Effectiveness of Recurrent Neural Networks".
#include "common/language_model.h"

namespace {

void run(const std::vector<std::string>& arguments) {
  example::LanguageModelOptions options;
  std::string cell = "lstm";
  options.parse(arguments, {{"--cell", &cell}});
  if (cell != "rnn" && cell != "gru" && cell != "lstm")
    throw example::UsageError("--cell is rnn, gru or lstm, not " + cell);
  example::train_and_sample(options, "fit_" + cell, cell + "_lm", false);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string usage = std::string("usage: %s char_rnn.so sampler.so data-folder [options]\n") +
                            "  --cell NAME      rnn, gru or lstm (lstm)\n" + example::kLanguageModelUsage;
  return example::guarded_main(argc, argv, usage.c_str(), run);
}
