#include "tools/nnrun/dataset.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <sstream>

#include "tools/files.h"
#include "tools/nnrun/data_file.h"

namespace nncc {
namespace {

double element(const Array& array, size_t i) {
  const auto dtype = static_cast<nn_dtype>(array.type.dtype);
  return nn::detail::convert_element<double>(dtype, array.bytes.data() + i * nn::dtype_size(dtype));
}

void store(const nn_tensor_info& tensor, double value, std::byte* to, const char* owner) {
  const size_t size = nn::dtype_size(tensor.dtype);
  const nn_tensor_info one{tensor.name, tensor.dtype, 0, nullptr, size};
  nn::detail::Slot slot;
  nn::detail::convert_scalar(one, value, slot, owner);
  std::memcpy(to, slot.bytes, size);
}

// A row for each class, 1 at its place.
Array one_hot(const Array& labels, size_t classes, const std::string& name) {
  const auto rows = static_cast<size_t>(labels.type.num_elements());
  Array array;
  array.type.dtype = DType::F64;
  array.type.shape.assign({static_cast<int64_t>(rows), static_cast<int64_t>(classes)});
  array.bytes.resize(8 * rows * classes);
  for (size_t i = 0; i < rows; ++i) {
    const double label = element(labels, i);
    if (!(label >= 0 && label < static_cast<double>(classes)) || label != std::floor(label))
      throw UserError("--one-hot " + name + ": a label is " + std::to_string(label) + ", but there are " +
                      std::to_string(classes) + " classes");
    const double one = 1;
    std::memcpy(&array.bytes[8 * (i * classes + static_cast<size_t>(label))], &one, 8);
  }
  return array;
}

// Elements of one row of an input, if its leading axis counts rows.
size_t elements_past_first(const nn_tensor_info& tensor) {
  size_t elements = 1;
  for (int32_t axis = 1; axis < tensor.rank; ++axis) elements *= static_cast<size_t>(tensor.shape[axis]);
  return elements;
}

const nn_tensor_info* find_input(const nn_entry_info& entry, const std::string& name) {
  for (const nn_tensor_info& tensor : inputs_of(entry))
    if (tensor.name == name) return &tensor;
  return nullptr;
}

// The input that data called `name` is for: of `entry`, else of any other.
const nn_tensor_info* input_called(const nn::Library& library, const nn_entry_info& entry,
                                   const std::string& name) {
  if (const nn_tensor_info* tensor = find_input(entry, name)) return tensor;
  for (const nn_entry_info& other : library.entries())
    if (const nn_tensor_info* tensor = find_input(other, name)) return tensor;
  return nullptr;
}

bool is_model_input(const nn::Library& library, const std::string& name) {
  return std::ranges::any_of(library.entries(), [&](const nn_entry_info& e) {
    return e.kind == NN_ENTRY_MODEL && find_input(e, name);
  });
}

void change(Field& field, const Affine& affine) {
  const size_t size = nn::dtype_size(field.dtype);
  const nn_tensor_info tensor{"", field.dtype, 0, nullptr, size};
  for (size_t i = 0; i < field.rows * field.row_elements; ++i) {
    std::byte* at = field.bytes.data() + i * size;
    const size_t column = affine.factor.size() == 1 ? 0 : i % field.row_elements;
    store(tensor,
          nn::detail::convert_element<double>(field.dtype, at) * affine.factor[column] + affine.shift[column],
          at, "scaling");
  }
}

double at(const Field& field, size_t row, size_t column) {
  return nn::detail::convert_element<double>(field.dtype,
                                             field.row(row) + column * nn::dtype_size(field.dtype));
}

// Mean 0 and deviation 1 of each column; a constant column becomes 0.
Affine standardizing(const Field& field, const Rows& rows) {
  Affine affine;
  for (size_t c = 0; c < field.row_elements; ++c) {
    double mean = 0, square = 0;
    for (uint32_t row : rows) mean += at(field, row, c) / static_cast<double>(rows.size());
    for (uint32_t row : rows)
      square += std::pow(at(field, row, c) - mean, 2) / static_cast<double>(rows.size());
    const double factor = square > 1e-24 * mean * mean ? 1 / std::sqrt(square) : 0;
    affine.factor.push_back(factor);
    affine.shift.push_back(-mean * factor);
  }
  return affine;
}

// The whole field to [0, 1].
Affine to_unit_range(const Field& field, const Rows& rows) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (uint32_t row : rows) {
    for (size_t c = 0; c < field.row_elements; ++c) {
      low = std::min(low, at(field, row, c));
      high = std::max(high, at(field, row, c));
    }
  }
  const double factor = high > low ? 1 / (high - low) : 0;
  return {{factor}, {-low * factor}};
}

}  // namespace

void Scaling::add_options(OptionParser& line) {
  line.flag("scale", "bytes to [0, 1], other floats by their range; what models take as input", scale);
  line.flag("standardize", "mean 0 and deviation 1 for each column, of the training rows", standardize);
  const auto names = [&](const char* option, const char* help, std::vector<std::string>& list) {
    line.each(option, "NAME", help, [&list](const std::string& name) {
      list.push_back(name);
      return std::string();
    });
  };
  names("scale-input", "the same for this input alone", scale_inputs);
  names("standardize-input", "the same for this input alone", standardize_inputs);
  names("one-hot", "labels of this input become rows of 0 and 1", one_hot);
}

Dataset::Dataset(const nn::Library& library, const nn_entry_info& entry, const Assignments& data,
                 const Scaling& scaling) {
  for (const auto& [name, place] : data) {
    const nn_tensor_info* tensor = input_called(library, entry, name);
    if (!tensor) find_tensor(inputs_of(entry), name, std::string("the inputs of ") + entry.name);
    Array array = read_data(place);
    were_bytes_[name] = array.type.dtype == DType::U8;
    if (std::ranges::find(scaling.one_hot, name) != scaling.one_hot.end())
      array = one_hot(array, elements_past_first(*tensor), name);

    if (array.type.shape.empty())
      throw UserError("--data " + name + ": " + place + " is one number, not rows");
    Field field;
    field.dtype = tensor->dtype;
    field.rows = static_cast<size_t>(array.type.shape[0]);
    if (field.rows == 0) throw UserError("--data " + name + ": " + place + " has no rows");
    if (field.rows > std::numeric_limits<uint32_t>::max())
      throw UserError("--data " + name + ": " + place + " has too many rows");
    const auto elements = static_cast<size_t>(array.type.num_elements());
    field.row_elements = elements / field.rows;
    const size_t size = nn::dtype_size(field.dtype);
    field.bytes.resize(elements * size);
    const std::string owner = "--data " + name;
    for (size_t i = 0; i < elements; ++i)
      store(*tensor, element(array, i), &field.bytes[i * size], owner.c_str());
    if (!fields_.empty() && field.rows != rows_)
      throw UserError("--data " + name + ": " + place + " has " + std::to_string(field.rows) +
                      " rows, the data before it " + std::to_string(rows_));
    rows_ = field.rows;
    fields_[name] = std::move(field);
  }
  for (const auto* names : {&scaling.scale_inputs, &scaling.standardize_inputs, &scaling.one_hot})
    for (const std::string& name : *names)
      if (!find(name)) throw UserError("there is no data for input " + name + " to change");
}

const Field* Dataset::find(const std::string& name) const {
  const auto found = fields_.find(name);
  return found == fields_.end() ? nullptr : &found->second;
}

ScalingFigures Dataset::figures(const nn::Library& library, const Scaling& scaling,
                                const Rows& training) const {
  ScalingFigures figures;
  for (const auto& [name, field] : fields_) {
    const bool features = is_float(static_cast<DType>(field.dtype)) && is_model_input(library, name);
    const auto wanted = [&, &name = name](bool all, const std::vector<std::string>& names) {
      return (all && features) || std::ranges::find(names, name) != names.end();
    };
    if (wanted(scaling.standardize, scaling.standardize_inputs))
      figures[name] = standardizing(field, training);
    else if (wanted(scaling.scale, scaling.scale_inputs))
      figures[name] = were_bytes_.at(name) ? Affine{{1.0 / 255}, {0}} : to_unit_range(field, training);
  }
  return figures;
}

void Dataset::apply(const ScalingFigures& figures) {
  for (const auto& [name, affine] : figures) {
    const auto field = fields_.find(name);
    if (field == fields_.end()) continue;
    if (affine.factor.size() != 1 && affine.factor.size() != field->second.row_elements)
      throw UserError("the scaling of input " + name + " is for rows of " +
                      std::to_string(affine.factor.size()) + " numbers, not " +
                      std::to_string(field->second.row_elements));
    change(field->second, affine);
  }
}

void write_figures(const std::string& path, const ScalingFigures& figures) {
  std::string text = "input,column,factor,shift\n";
  for (const auto& [name, affine] : figures) {
    for (size_t i = 0; i < affine.factor.size(); ++i) {
      char numbers[80];
      std::snprintf(numbers, sizeof numbers, ",%.17g,%.17g\n", affine.factor[i], affine.shift[i]);
      text += name + "," + (affine.factor.size() == 1 ? "all" : std::to_string(i)) + numbers;
    }
  }
  Diagnostics diags;
  if (!write_file(path, text, diags)) throw_errors(diags);
}

ScalingFigures read_figures(const std::string& path) {
  std::istringstream lines(read_unpacked(path));
  std::string line;
  const auto wrong = [&] {
    return UserError("cannot read " + path + ": it is not what --save-scaling writes");
  };
  if (!std::getline(lines, line) || line != "input,column,factor,shift") throw wrong();
  ScalingFigures figures;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string name, column, factor, shift;
    if (!std::getline(fields, name, ',') || !std::getline(fields, column, ',') ||
        !std::getline(fields, factor, ',') || !std::getline(fields, shift))
      throw wrong();
    Affine& affine = figures[name];
    if (column != "all" && column != std::to_string(affine.factor.size())) throw wrong();
    affine.factor.push_back(parse_number(factor, path));
    affine.shift.push_back(parse_number(shift, path));
  }
  return figures;
}

Batcher::Batcher(const Dataset& dataset, const nn_entry_info& entry) {
  for (const nn_tensor_info& tensor : inputs_of(entry)) {
    const std::string name = tensor.name, what = std::string(entry.name) + ": input " + name;
    const Field* field = dataset.find(name);
    if (!field)
      throw UserError(what + " (" + nn::type_name(tensor) + ") has no data: --data " + name + "=FILE");
    if (field->dtype != tensor.dtype)
      throw UserError(what + " has another element type than the same input of another entry");
    const size_t elements = tensor.bytes / nn::dtype_size(tensor.dtype);
    const bool rows_first = tensor.rank > 0 && field->row_elements == elements_past_first(tensor);
    if (!rows_first && field->row_elements != elements)
      throw UserError(what + " is " + nn::type_name(tensor) + ", but a row of its data has " +
                      std::to_string(field->row_elements) + " numbers");
    const size_t size = rows_first ? static_cast<size_t>(tensor.shape[0]) : 1;
    if (size_ != 0 && size != size_)
      throw UserError(what + " takes " + std::to_string(size) + " rows in a call, the inputs before it " +
                      std::to_string(size_));
    size_ = size;
    fields_.push_back(field);
    buffers_.emplace_back(tensor.bytes);
    views_.emplace_back(tensor.dtype, buffers_.back().data(), nn::shape_of(tensor));
  }
  if (size_ == 0) throw UserError(std::string(entry.name) + " has no inputs to feed data to");
}

const std::vector<nn::View>& Batcher::fill(const Rows& order, size_t first) {
  for (size_t f = 0; f < fields_.size(); ++f) {
    const size_t row_bytes = fields_[f]->row_bytes();
    for (size_t i = 0; i < size_; ++i)
      std::memcpy(buffers_[f].data() + i * row_bytes, fields_[f]->row(order[(first + i) % order.size()]),
                  row_bytes);
  }
  return views_;
}

Rows all_rows(size_t count) {
  Rows rows(count);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// By hand, because the library's shuffle may differ from one standard library to the next.
Rows shuffled(Rows rows, int64_t seed, uint64_t epoch) {
  uint64_t state = static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15 + epoch * 0xd1b54a32d192ed03 + 1;
  const auto next = [&state] {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  };
  for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[next() % i]);
  return rows;
}

}  // namespace nncc
