// Fused AdamW and SGD over one parameter set.
#pragma once

#include "mfi/core/torch.h"

#include <string>
#include <utility>
#include <vector>

#include "mfi/train/settings.h"
#include "mfi/train/task.h"

namespace mfi {

/// Updates the parameters of a set, in one fused call for those with weight decay and one for those
/// without: biases and batch-norm scales, everything of one dimension.
///
/// adamw: Loshchilov and Hutter 2019 (arXiv:1711.05101), betas 0.9 and 0.999, epsilon 1e-8,
/// decoupled decay. sgd: Nesterov momentum, decay added to the gradient.
class Optimiser {
 public:
  Optimiser(const ParameterSet& set, const StepSettings& settings);

  void zero_grad();
  void step(double learning_rate);

  /// The optimiser's own tensors by name, shared, for a checkpoint: "<parameter>.exp_avg" and so on.
  std::vector<std::pair<std::string, torch::Tensor>> state() const;

 private:
  struct Group {
    std::vector<std::string> names;
    std::vector<torch::Tensor> parameters;
    std::vector<torch::Tensor> first, second;  // momentum or mean of gradients; mean of squares
    torch::Tensor count;                       // float32 [1]: steps taken
    double weight_decay = 0;
  };

  void step(Group& group, double learning_rate);

  StepSettings settings_;
  std::string name_;
  std::vector<Group> groups_;
};

}  // namespace mfi
