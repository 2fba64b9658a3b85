// What the Trainer does with a batch.
#pragma once

#include "mfi/core/torch.h"

#include <string>
#include <vector>

#include "mfi/data/loader.h"
#include "mfi/train/observer.h"

namespace mfi {

/// Parameters that share one optimiser.
struct ParameterSet {
  std::string name;                                               // "network", "stage1", ...
  std::vector<std::pair<std::string, torch::Tensor>> parameters;  // only those that learn
};

/// Position in a training: what random draws may depend on, besides the seed.
struct StepPosition {
  int64_t epoch = 0;  // from 0
  int64_t batch = 0;  // from 0
  double done = 0;    // share of the training behind it, [0, 1)
};

/// What one step gives.
struct StepLosses {
  std::vector<torch::Tensor> losses;  // one scalar for each parameter set, with graph
  int64_t correct = -1;               // images classified right; -1 when the task does not classify, or not all of them
};

/// A training task: a network with some frozen parts, and a loss.
class Task {
 public:
  virtual ~Task() = default;

  /// The module whose weights, statistics and moving average are kept.
  virtual torch::nn::Module& student() = 0;

  /// What learns. Called once, before training.
  virtual std::vector<ParameterSet> parameter_sets() = 0;

  /// Puts modules into training mode, frozen parts left in eval mode.
  virtual void set_training_mode() = 0;

  /// Forward pass and losses of one batch.
  virtual StepLosses step(const Batch& batch, const StepPosition& position) = 0;

  /// Metrics of the student as it is now, on held-out images. Leaves weights and statistics alone.
  virtual Metrics evaluate(const Dataset& data) = 0;
};

}  // namespace mfi
