// Measuring a network on rows that it is not trained on.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "tools/nnrun/dataset.h"

namespace nncc {

// Figures by name, the one that decides first.
struct Figures {
  std::vector<std::pair<std::string, double>> values;
  bool higher_is_better = false;

  bool better_than(const Figures& other) const;
  // "loss 0.1234  accuracy 0.9"
  std::string str() const;
};

// What decides how rows are measured:
//  - a train entry: its own metrics, averaged over the batches, from calls whose changes are undone;
//  - a model entry: its output against the data that isn't its input: the share of rows whose largest output
//    is at the label, for integer labels; else the mean squared difference from the data with as many numbers
//    a row, which may be the input itself.
class Evaluator {
 public:
  Evaluator(nn::Session& session, const Dataset& dataset, const nn_entry_info& entry);
  Figures measure(const Rows& rows);

  // The model entry that can be measured by labels in this data, or `trained` itself.
  static const nn_entry_info& choose(const nn::Library& library, const Dataset& dataset,
                                     const nn_entry_info& trained);
  // One line for the user: what is measured, how.
  std::string description() const;

 private:
  Figures measure_training(const Rows& rows);
  Figures measure_model(const Rows& rows);

  nn::Session& session_;
  const nn_entry_info& entry_;
  nn::Entry<-1> call_;
  Batcher batcher_;
  const Field* target_ = nullptr;
  std::string target_name_;
};

// Values of all variables that a call can change, put back at the end.
class Snapshot {
 public:
  explicit Snapshot(nn::Session& session);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  nn::Session& session_;
  std::vector<std::vector<std::byte>> values_;
};

}  // namespace nncc
