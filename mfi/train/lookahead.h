// Lookahead: weights that go ahead, and weights that follow.
#pragma once

#include "mfi/core/torch.h"

#include <string>
#include <utility>
#include <vector>

#include "mfi/train/weight_copies.h"

namespace mfi {

/// Every `every` steps: slow <- slow + (weights - slow) / 2, weights <- slow (Zhang et al. 2019, arXiv:1907.08610, with
/// their alpha of 0.5). Batch-norm statistics go the same way, since they belong to the weights. The optimiser's own
/// tensors stay as they are.
class Lookahead {
 public:
  /// every: at least 1.
  Lookahead(const torch::nn::Module& module, int64_t every);

  /// After each step of the optimiser.
  void update();

  /// The slow weights by the names of the module's tensors, shared, and the count of steps.
  std::vector<std::pair<std::string, torch::Tensor>> state() const { return tensors_.state(count_); }

 private:
  int64_t every_;
  torch::Tensor count_;  // int64 scalar
  WeightCopies tensors_;
};

}  // namespace mfi
