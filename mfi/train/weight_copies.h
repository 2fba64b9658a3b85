// A second set of a module's weights, which follows the first.
#pragma once

#include "mfi/core/torch.h"

#include <string>
#include <utility>
#include <vector>

namespace mfi {

/// The weights and statistics of a module, shared, and a copy of each as it was. Both lists are in the order of
/// named_tensors().
struct WeightCopies {
  explicit WeightCopies(const torch::nn::Module& module);

  /// The copies by the names of the module's tensors, shared, behind `count`: for a checkpoint.
  std::vector<std::pair<std::string, torch::Tensor>> state(const torch::Tensor& count) const;

  std::vector<std::string> names;
  std::vector<torch::Tensor> weights, copies;
};

}  // namespace mfi
