// The running mean of the weights that a training passes through.
#pragma once
#include <nn/model.h>

#include <algorithm>
#include <string>
#include <vector>

namespace example {

// Weights go to and fro about where they tend to, further the larger the learning rate; their mean is nearer,
// as if the rate had fallen. Polyak, Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging".
class WeightAverage {
 public:
  // Of every f32 parameter, over about the last 1 / (1 - decay) steps. The session must outlive this.
  WeightAverage(const nn::Session& session, double decay) : session_(session), decay_(decay) {
    for (const nn_variable_info& v : session.library().variables())
      if (v.kind == NN_PARAMETER && v.tensor.dtype == NN_F32) names_.emplace_back(v.tensor.name);
    for (const std::string& name : names_) {
      const auto values = session.variable<float>(name);
      means_.emplace_back(values.begin(), values.end());
    }
  }
  // After each training step. In the beginning the mean is over all that have been.
  void add() {
    ++steps_;
    const auto share = static_cast<float>(std::max(1 - decay_, 1.0 / steps_));
    for (size_t i = 0; i < names_.size(); ++i) {
      const auto values = session_.variable<float>(names_[i]);
      std::transform(means_[i].begin(), means_[i].end(), values.begin(), means_[i].begin(),
                     [share](float mean, float x) { return mean + share * (x - mean); });
    }
  }
  // Gives them to a session of the same program.
  void copy_to(nn::Session& session) const {
    for (size_t i = 0; i < names_.size(); ++i) session.set(names_[i], means_[i]);
  }

 private:
  const nn::Session& session_;
  double decay_;
  int steps_ = 0;
  std::vector<std::string> names_;
  std::vector<std::vector<float>> means_;
};

}  // namespace example
