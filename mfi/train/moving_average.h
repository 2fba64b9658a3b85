// Exponential moving average of a module's weights.
#pragma once

#include "mfi/core/torch.h"

#include <string>
#include <utility>
#include <vector>

#include "mfi/train/weight_copies.h"

namespace mfi {

/// average <- decay * average + (1 - decay) * weights, after each step; the decay is held below
/// (1 + n) / (10 + n) in step n, so that the average forgets the starting weights. Batch-norm
/// statistics are averaged the same way.
class MovingAverage {
 public:
  MovingAverage(const torch::nn::Module& module, double decay);

  void update();

  /// Exchanges the module's weights and their average; twice is as if never.
  void swap();

  /// The average by the names of the module's tensors, shared, and the count of updates.
  std::vector<std::pair<std::string, torch::Tensor>> state() const { return tensors_.state(count_); }

 private:
  double decay_;
  torch::Tensor count_;  // float64 scalar
  WeightCopies tensors_;
};

}  // namespace mfi
