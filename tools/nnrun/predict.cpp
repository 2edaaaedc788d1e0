// nnrun predict: what a model says of every row of files of data.
#include <algorithm>
#include <cstdio>

#include "llvm/Support/raw_ostream.h"
#include "tools/files.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/dataset.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

struct Prediction {
  size_t index;
  std::string path;
  Array array;
};

// The output's own shape where the leading axis counts rows, else a leading axis before it.
Array rows_of(const nn_tensor_info& tensor, size_t rows, size_t batch) {
  Array array{type_of(tensor), {}};
  Shape& shape = array.type.shape;
  if (batch == 1 && (shape.empty() || shape[0] != 1)) shape.insert(shape.begin(), 1);
  if (shape.empty() || static_cast<size_t>(shape[0]) != batch)
    throw UserError("output " + std::string(tensor.name) + " is " + nn::type_name(tensor) +
                    ": it has no row for each of the " + std::to_string(batch) + " of a call");
  shape[0] = static_cast<int64_t>(rows);
  return array;
}

std::string as_csv(const Array& array) {
  std::string text;
  const auto dtype = static_cast<nn_dtype>(array.type.dtype);
  const auto rows = static_cast<size_t>(array.type.shape[0]);
  const size_t elements = array.bytes.size() / nn::dtype_size(dtype), per_row = elements / rows;
  for (size_t i = 0; i < elements; ++i) {
    char number[32];
    std::snprintf(number, sizeof number, "%.9g",
                  nn::detail::convert_element<double>(dtype, &array.bytes[i * nn::dtype_size(dtype)]));
    text += number;
    text += (i + 1) % per_row == 0 ? '\n' : ',';
  }
  return text;
}

void write(const Prediction& prediction) {
  const std::string& path = prediction.path;
  const bool csv = path == "-" || (path.size() > 4 && path.substr(path.size() - 4) == ".csv");
  if (!csv) return write_array(path, prediction.array);
  Diagnostics diags;
  if (!write_file(path, as_csv(prediction.array), diags)) throw_errors(diags);
}

}  // namespace

int predict_verb(int argc, const char* const* argv) {
  SessionArguments arguments;
  Assignments data, outputs;
  Scaling scaling;
  std::string scaling_file;
  OptionParser line(argv[0], "MODEL.so --data INPUT=FILE … [options]",
                    "Calls a model on every row of files of data. Without --output its first output goes to "
                    "standard output as CSV.");
  arguments.add_options(line);
  line.group("Data");
  add_assignments(line, "data", "INPUT=FILE[:COLUMNS]", "rows for an input", data);
  scaling.add_options(line);
  line.text("scaling", "FILE.csv", "scale as in training: what train --save-scaling wrote", scaling_file);
  add_assignments(line, "output", "NAME=FILE",
                  "where an output goes: .npy, .csv, or - for CSV on standard output", outputs);
  int status;
  if (!parse_verb(line, arguments, argc, argv, status)) return status;

  const nn::Library library = arguments.open();
  const nn_entry_info& entry = arguments.choose_entry(library, NN_ENTRY_MODEL);
  if (entry.num_outputs == 0) throw UserError(std::string(entry.name) + " has no output");
  Dataset dataset(library, entry, data, scaling);
  const Rows rows = all_rows(dataset.rows());
  dataset.apply(scaling_file.empty() ? dataset.figures(library, scaling, rows) : read_figures(scaling_file));
  Batcher batcher(dataset, entry);
  if (outputs.empty()) outputs.emplace_back(entry.outputs[0].name, "-");
  std::vector<Prediction> predictions;
  for (const auto& [name, path] : outputs) {
    const size_t index = find_tensor(outputs_of(entry), name, std::string("the outputs of ") + entry.name);
    predictions.push_back({index, path, rows_of(entry.outputs[index], rows.size(), batcher.size())});
  }
  nn::Session session = arguments.make_session(library);
  const auto call = session.entry(entry.name);
  for (size_t first = 0; first < rows.size(); first += batcher.size()) {
    const nn::Outputs results = call.call(batcher.fill(rows, first));
    const size_t used = std::min(batcher.size(), rows.size() - first);
    for (Prediction& prediction : predictions) {
      const nn::Output result = results[prediction.index];
      const auto* bytes = static_cast<const std::byte*>(result.data());
      prediction.array.bytes.insert(prediction.array.bytes.end(), bytes,
                                    bytes + result.bytes() / batcher.size() * used);
    }
  }
  for (const Prediction& prediction : predictions) write(prediction);
  return 0;
}

}  // namespace nncc
