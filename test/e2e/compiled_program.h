// A program compiled in this process and loaded through <nn/model.h>, as a host would.
#pragma once
#include <nn/model.h>

#include <map>
#include <span>
#include <string>
#include <vector>

namespace nncc::test {

// The folder of this source tree.
std::string source_path(const std::string& relative);
std::string read_text(const std::string& path);
// A file in a folder of this process, which is removed at exit.
std::string temporary_path(const std::string& name);
// Writes `text` there and returns its path.
std::string write_temporary(const std::string& name, const std::string& text);

// Compiles the program at `path` and loads it. Throws std::runtime_error with the compiler's messages.
nn::Library compile_and_open(const std::string& path,
                             const std::map<std::string, std::string>& constants = {});

// Values for the inputs of an entry: floats in [0, 1), integers 0 or 1. The same seed gives the same values.
class RandomInputs {
 public:
  RandomInputs(const nn_entry_info& entry, uint64_t seed);
  std::span<const nn::View> views() const { return views_; }

 private:
  std::vector<std::vector<std::byte>> storage_;
  std::vector<nn::View> views_;
};

// The bytes of a checkpoint: every saved variable.
std::string checkpoint_bytes(const nn::Session& session);

}  // namespace nncc::test
