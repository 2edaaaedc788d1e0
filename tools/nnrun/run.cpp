// nnrun run: calls an entry a number of times, inputs and outputs in .npy files.
#include <algorithm>

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

// An input of the entry: the same at every step, or one slice for each.
struct StepInput {
  Array array;
  TensorType type;
  bool stepped = false;

  nn::View at(int64_t step) const {
    const int64_t offset = stepped ? step * type.byte_size() : 0;
    return nn::View(static_cast<nn_dtype>(type.dtype), array.bytes.data() + offset, type.shape);
  }
};

StepInput read_input(const nn_tensor_info& tensor, const std::string& path) {
  StepInput input{read_array(path), type_of(tensor)};
  const TensorType& found = input.array.type;
  if (found == input.type) return input;
  input.stepped = found.dtype == input.type.dtype && found.rank() == input.type.rank() + 1 &&
                  std::equal(input.type.shape.begin(), input.type.shape.end(), found.shape.begin() + 1);
  if (!input.stepped)
    throw UserError("input " + std::string(tensor.name) + " is " + input.type.str() +
                    ", with one more leading axis where it differs from step to step, but " + path + " has " +
                    found.str());
  return input;
}

// As many as --steps says, else as the inputs have; they must agree.
int64_t number_of_steps(const std::vector<StepInput>& inputs, const nn_entry_info& entry,
                        std::optional<int64_t> wanted) {
  std::optional<int64_t> steps = wanted;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].stepped) continue;
    const int64_t length = inputs[i].array.type.shape[0];
    if (steps && length != *steps) {
      throw UserError("input " + std::string(entry.inputs[i].name) + " has values for " +
                      std::to_string(length) + " steps, but there are " + std::to_string(*steps));
    }
    steps = length;
  }
  return steps.value_or(1);
}

struct Output {
  size_t index;
  std::string path;
  Array array;
};

void print_last(const nn::Outputs& outputs, int64_t steps) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const nn::Output output = outputs[i];
    if (output.size() == 1)
      llvm::outs() << output.name() << ' ' << llvm::format("%.9g", double(output))
                   << (steps > 1 ? " (last step)\n" : "\n");
  }
}

}  // namespace

int run_verb(int argc, const char* const* argv) {
  SessionArguments arguments;
  Assignments input_files, output_files;
  std::string save;
  int steps_given = -1;
  OptionParser line(argv[0], "MODEL.so [options]",
                    "Calls an entry a number of times. An input has the entry's own shape and is used at "
                    "every step, or one more\n"
                    "leading axis with a value for each step. Outputs get that axis. --steps 0 only "
                    "initializes, loads and saves.");
  arguments.add_options(line);
  line.group("The calls");
  add_assignments(line, "input", "NAME=FILE.npy", "an input of the entry", input_files);
  add_assignments(line, "output", "NAME=FILE.npy", "where an output goes", output_files);
  line.count("steps", "N", "how many calls (default: as many as the inputs have, else 1)", steps_given);
  line.text("save", "FILE", "keep the variables in this .safetensors file at the end", save);
  int status;
  if (!parse_verb(line, arguments, argc, argv, status)) return status;

  const nn::Library library = arguments.open();
  std::optional<int64_t> wanted;
  if (steps_given >= 0) wanted = steps_given;
  if (wanted == 0 && arguments.entry.empty() && output_files.empty() && input_files.empty()) {
    nn::Session session = arguments.make_session(library);
    if (!save.empty()) session.save(save);
    return 0;
  }

  const nn_entry_info& entry = arguments.choose_entry(library);
  for (const auto& file : input_files)
    find_tensor(inputs_of(entry), file.first, std::string("the inputs of ") + entry.name);
  std::vector<StepInput> inputs;
  for (const nn_tensor_info& tensor : inputs_of(entry)) {
    const auto file = std::find_if(input_files.rbegin(), input_files.rend(),
                                   [&](const auto& f) { return f.first == tensor.name; });
    if (file != input_files.rend()) {
      inputs.push_back(read_input(tensor, file->second));
    } else if (wanted != 0) {
      throw UserError("input " + std::string(tensor.name) + " (" + nn::type_name(tensor) +
                      ") is missing: --input " + tensor.name + "=FILE.npy");
    }
  }
  std::vector<Output> outputs;
  for (const auto& [name, path] : output_files)
    outputs.push_back(
        {find_tensor(outputs_of(entry), name, std::string("the outputs of ") + entry.name), path, {}});
  const int64_t steps = wanted == 0 ? 0 : number_of_steps(inputs, entry, wanted);
  for (Output& output : outputs) {
    output.array.type = type_of(entry.outputs[output.index]);
    output.array.bytes.reserve(static_cast<size_t>(steps * output.array.type.byte_size()));
    output.array.type.shape.insert(output.array.type.shape.begin(), steps);
  }

  nn::Session session = arguments.make_session(library);
  const auto call = session.entry(entry.name);
  std::vector<nn::View> views;
  for (int64_t step = 0; step < steps; ++step) {
    views.clear();
    for (const StepInput& input : inputs) views.push_back(input.at(step));
    const nn::Outputs results = call.call(views);
    for (Output& output : outputs) {
      const nn::Output result = results[output.index];
      const auto* bytes = static_cast<const std::byte*>(result.data());
      output.array.bytes.insert(output.array.bytes.end(), bytes, bytes + result.bytes());
    }
    if (step + 1 == steps && outputs.empty()) print_last(results, steps);
  }
  for (const Output& output : outputs) write_array(output.path, output.array);
  if (!save.empty()) session.save(save);
  return 0;
}

}  // namespace nncc
