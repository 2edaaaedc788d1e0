#include "e2e/compiled_program.h"

#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "support/compiled_model.h"
#include "tools/driver.h"

namespace nncc::test {

std::string temporary_path(const std::string& name) {
  static const TemporaryFolder folder;
  return folder.file(name);
}

std::string source_path(const std::string& relative) { return std::string(NNCC_SOURCE_DIR) + "/" + relative; }

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string write_temporary(const std::string& name, const std::string& text) {
  const std::string path = temporary_path(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

nn::Library compile_and_open(const std::string& path, const std::map<std::string, std::string>& constants) {
  static int serial = 0;
  const std::string output = temporary_path("model" + std::to_string(serial++) + ".so");
  DriverOptions options;
  options.input = path;
  options.constants = constants;
  options.threads = 2;
  options.pipeline.verify_each = true;
  Diagnostics diags;
  Driver driver(options, diags, llvm::errs());
  if (!driver.compile_file(EmitKind::SharedLibrary, output))
    throw std::runtime_error(path + " did not compile:\n" + messages(diags));
  return nn::Library::open(output);
}

RandomInputs::RandomInputs(const nn_entry_info& entry, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int32_t i = 0; i < entry.num_inputs; ++i) {
    const nn_tensor_info& tensor = entry.inputs[i];
    const std::span<const int64_t> shape = nn::shape_of(tensor);
    Literal values(TensorType{static_cast<DType>(tensor.dtype), Shape(shape.begin(), shape.end())});
    for (int64_t k = 0; k < values.num_elements(); ++k) {
      if (values.is_float())
        values.set(k, std::uniform_real_distribution<double>(0, 1)(random));
      else
        values.set_int(k, static_cast<int64_t>(random() & 1));
    }
    values.round_to_type();
    storage_.push_back(values.to_bytes());
    views_.emplace_back(tensor.dtype, storage_.back().data(), shape);
  }
}

std::string checkpoint_bytes(const nn::Session& session) {
  const std::string path = temporary_path("checkpoint.safetensors");
  session.save(path);
  return read_text(path);
}

}  // namespace nncc::test
