// What the verbs of nnrun share: their command lines, sessions made from them, and errors.
#pragma once
#include <nn/model.h>

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tools/npy.h"
#include "tools/options.h"

namespace nncc {

// The command line or a file is not what it should be: exit status 1.
struct UserError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// `name, argument` of --input, --output, --set, …, in the order they were given.
using Assignments = std::vector<std::pair<std::string, std::string>>;

// Options of one kind that most verbs have.
void add_assignments(OptionParser& line, const std::string& option, const std::string& placeholder,
                     const std::string& help, Assignments& values);
void add_number(OptionParser& line, const std::string& option, const std::string& placeholder,
                const std::string& help, double& value);

// The model and the session that a verb works with.
struct SessionArguments {
  std::string library, entry;
  int64_t seed = 0;
  int threads = 0;
  Assignments set;
  std::string load;
  bool partial = false;

  void add_library(OptionParser& line) { line.positional(positional_); }
  // The same, and --entry, --seed, --threads, --set, --load, --load-partial.
  void add_options(OptionParser& line);
  nn::Library open() const;
  // Made with the seed, then loaded, then set.
  nn::Session make_session(const nn::Library& library) const;
  // That of --entry; without it the only one there is, of this kind if given. An error names those that there
  // are.
  const nn_entry_info& choose_entry(const nn::Library& library, std::optional<nn_entry_kind> kind = {}) const;

 private:
  std::vector<std::string> positional_;
  friend bool parse_verb(OptionParser&, SessionArguments&, int, const char* const*, int&);
};

// False if the verb is over: --help was printed, or what is wrong; `status` is then the exit status.
bool parse_verb(OptionParser& line, SessionArguments& arguments, int argc, const char* const* argv,
                int& status);

double parse_number(const std::string& text, const std::string& what);
// Throws what `diags` has.
[[noreturn]] void throw_errors(const Diagnostics& diags);
Array read_array(const std::string& path);
void write_array(const std::string& path, const Array& array);

inline std::span<const nn_tensor_info> inputs_of(const nn_entry_info& entry) {
  return {entry.inputs, static_cast<size_t>(entry.num_inputs)};
}
inline std::span<const nn_tensor_info> outputs_of(const nn_entry_info& entry) {
  return {entry.outputs, static_cast<size_t>(entry.num_outputs)};
}
inline std::span<const nn_kernel_info> kernels_of(const nn_entry_info& entry) {
  return {entry.kernels, static_cast<size_t>(entry.num_kernels)};
}
// nn_dtype and DType list the same types in the same order.
inline DType dtype_of(const nn_tensor_info& tensor) { return static_cast<DType>(tensor.dtype); }
inline TensorType type_of(const nn_tensor_info& tensor) {
  const auto shape = nn::shape_of(tensor);
  return {dtype_of(tensor), Shape(shape.begin(), shape.end())};
}
// The index of the tensor called `name`; an error that lists them, as `owner` ("the inputs of fit"), if there
// is none.
size_t find_tensor(std::span<const nn_tensor_info> tensors, const std::string& name,
                   const std::string& owner);
std::string entry_kind(const nn_entry_info& entry);
std::string variable_kind(nn_variable_kind kind);
// "1.5 MB"
std::string byte_text(double bytes);
// "1.50 GFLOP"
std::string flop_text(double flops);
// "12.3 us"
std::string time_text(double seconds);

// Values for inputs that a user does not give: floats uniform in [low, high), integers in [0, classes), all
// from one seed.
struct Generator {
  double low = -1, high = 1;
  int classes = 2;
  uint64_t seed = 1;
  // --range, --classes
  void add_options(OptionParser& line);
  Array make(const TensorType& type, uint64_t stream) const;
};
// One array for each input of the entry: of a file where `files` names it, else generated.
std::vector<Array> make_inputs(const nn_entry_info& entry, const Assignments& files,
                               const Generator& generator);
std::vector<nn::View> views_of(const std::vector<Array>& arrays);

}  // namespace nncc
