// Trains the transformer of examples/zoo/gpt.nn on the works of Shakespeare, then lets it write.
//
//   nncc examples/zoo/gpt.nn -o gpt.so
//   nncc examples/gpt/sampler.nn -o sampler.so
//   gpt gpt.so sampler.so examples/data
//
// The sampler keeps the keys and values of the characters before, so each new one costs the same. Positions
// are learned, up to the length of the windows: then the sampler reads the last half again.
#include "common/language_model.h"

int main(int argc, char** argv) {
  const std::string usage =
      std::string("usage: %s gpt.so sampler.so data-folder [options]\n") + example::kLanguageModelUsage;
  return example::guarded_main(argc, argv, usage.c_str(), [](const std::vector<std::string>& arguments) {
    example::LanguageModelOptions options;
    options.parse(arguments);
    example::train_and_sample(options, "fit", "gpt", true);
  });
}
