#include "tools/nnrun/evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace nncc {
namespace {

double element(nn_dtype dtype, const std::byte* at, size_t i) {
  return nn::detail::convert_element<double>(dtype, at + i * nn::dtype_size(dtype));
}

bool is_integer_type(nn_dtype dtype) {
  return dtype == NN_I8 || dtype == NN_U8 || dtype == NN_I32 || dtype == NN_I64;
}

size_t elements_of(const nn_tensor_info& tensor) { return tensor.bytes / nn::dtype_size(tensor.dtype); }

bool is_input(const nn_entry_info& entry, const std::string& name) {
  return std::ranges::any_of(inputs_of(entry), [&](const nn_tensor_info& t) { return t.name == name; });
}

// The data that the model's first output is held against, and its name; labels before numbers, others before
// its own inputs.
const Field* find_target(const Dataset& dataset, const nn_entry_info& entry, size_t batch,
                         std::string& name) {
  if (entry.num_outputs == 0 || elements_of(entry.outputs[0]) % batch != 0) return nullptr;
  const size_t per_row = elements_of(entry.outputs[0]) / batch;
  const Field* found = nullptr;
  int best = 0;
  for (const auto& [field_name, field] : dataset.fields()) {
    const bool own = is_input(entry, field_name);
    const bool labels = !own && is_integer_type(field.dtype) && field.row_elements == 1 && per_row > 1;
    const bool numbers = !is_integer_type(field.dtype) && field.row_elements == per_row;
    const int rank = labels ? 3 : numbers && !own ? 2 : numbers ? 1 : 0;
    if (rank <= best) continue;
    best = rank;
    found = &field;
    name = field_name;
  }
  return found;
}

}  // namespace

bool Figures::better_than(const Figures& other) const {
  const double mine = values[0].second, theirs = other.values[0].second;
  if (std::isnan(mine) || std::isnan(theirs)) return !std::isnan(mine);
  return higher_is_better ? mine > theirs : mine < theirs;
}

std::string Figures::str() const {
  std::string text;
  for (const auto& [name, value] : values) {
    char number[32];
    std::snprintf(number, sizeof number, "%.4g", value);
    text += (text.empty() ? "" : "  ") + name + " " + number;
  }
  return text;
}

Evaluator::Evaluator(nn::Session& session, const Dataset& dataset, const nn_entry_info& entry)
    : session_(session), entry_(entry), call_(session.entry(entry.name)), batcher_(dataset, entry) {
  if (entry.kind == NN_ENTRY_TRAIN) {
    if (entry.num_outputs == 0) throw UserError(std::string(entry.name) + " returns nothing to measure by");
    return;
  }
  target_ = find_target(dataset, entry, batcher_.size(), target_name_);
  if (!target_)
    throw UserError("no data fits the output of " + std::string(entry.name) +
                    ", to measure it by: labels, or as many numbers a row");
}

const nn_entry_info& Evaluator::choose(const nn::Library& library, const Dataset& dataset,
                                       const nn_entry_info& trained) {
  const nn_entry_info* chosen = &trained;
  for (const nn_entry_info& entry : library.entries()) {
    const auto fed = [&](const nn_tensor_info& t) {
      return dataset.find(t.name) && dataset.find(t.name)->dtype == t.dtype;
    };
    if (entry.kind != NN_ENTRY_MODEL || entry.num_inputs == 0 || entry.num_outputs == 0 ||
        !std::ranges::all_of(inputs_of(entry), fed))
      continue;
    try {
      const Batcher batcher(dataset, entry);
      std::string name;
      const Field* target = find_target(dataset, entry, batcher.size(), name);
      if (target && is_integer_type(target->dtype)) chosen = &entry;
    } catch (const UserError&) {
      continue;  // the data does not fit this one's rows
    }
  }
  return *chosen;
}

std::string Evaluator::description() const {
  if (!target_) return std::string("metrics of ") + entry_.name + ", each call undone";
  return std::string(entry_.name) + " against " + target_name_;
}

Figures Evaluator::measure(const Rows& rows) {
  return target_ ? measure_model(rows) : measure_training(rows);
}

// Batches go on with the first rows after the last, which therefore count a little more.
Figures Evaluator::measure_training(const Rows& rows) {
  const Snapshot snapshot(session_);
  const auto outputs = outputs_of(entry_);
  Figures figures;
  for (const nn_tensor_info& output : outputs)
    if (elements_of(output) == 1) figures.values.emplace_back(output.name, 0);
  if (figures.values.empty()) throw UserError(std::string(entry_.name) + " returns no number to measure by");
  const size_t batches = (rows.size() + batcher_.size() - 1) / batcher_.size();
  for (size_t batch = 0; batch < batches; ++batch) {
    // The batch is measured with the weights as they are, not as the batch before left them.
    const Snapshot before(session_);
    const nn::Outputs results = call_.call(batcher_.fill(rows, batch * batcher_.size()));
    for (auto& [name, value] : figures.values) value += double(results[name]) / static_cast<double>(batches);
  }
  return figures;
}

Figures Evaluator::measure_model(const Rows& rows) {
  const bool labels = is_integer_type(target_->dtype) && target_->row_elements == 1;
  double sum = 0;
  size_t measured = 0;
  for (size_t first = 0; first < rows.size(); first += batcher_.size()) {
    const nn::Output output = call_.call(batcher_.fill(rows, first))[0];
    const auto* values = static_cast<const std::byte*>(output.data());
    const size_t per_row = output.size() / batcher_.size();
    for (size_t i = 0; i < batcher_.size() && first + i < rows.size(); ++i, ++measured) {
      const std::byte* target = target_->row(rows[first + i]);
      const std::byte* row = values + i * per_row * nn::dtype_size(output.dtype());
      if (labels) {
        size_t largest = 0;
        for (size_t k = 1; k < per_row; ++k)
          if (element(output.dtype(), row, k) > element(output.dtype(), row, largest)) largest = k;
        sum += element(target_->dtype, target, 0) == static_cast<double>(largest);
      } else {
        for (size_t k = 0; k < per_row; ++k)
          sum += std::pow(element(output.dtype(), row, k) - element(target_->dtype, target, k), 2) /
                 static_cast<double>(per_row);
      }
    }
  }
  return {{{labels ? "accuracy" : "mean squared error", sum / static_cast<double>(measured)}}, labels};
}

Snapshot::Snapshot(nn::Session& session) : session_(session) {
  for (const nn_variable_info& variable : session.library().variables()) {
    const nn::Tensor value = session.get(variable.tensor.name);
    const auto* bytes = static_cast<const std::byte*>(value.data());
    values_.emplace_back(bytes, bytes + value.bytes());
  }
}

Snapshot::~Snapshot() {
  const auto variables = session_.library().variables();
  for (size_t i = 0; i < variables.size(); ++i) {
    const nn_tensor_info& tensor = variables[i].tensor;
    if (variables[i].kind == NN_HOISTED || variables[i].kind == NN_HYPER) continue;
    session_.set(tensor.name, nn::View(tensor.dtype, values_[i].data(), nn::shape_of(tensor)));
  }
}

}  // namespace nncc
