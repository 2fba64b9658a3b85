// What the Trainer does with a batch.
#pragma once

#include "mfi/core/torch.h"

#include <functional>
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

/// Takes the loss of one parameter set, a scalar with its graph: for its gradient, with which the graph goes.
using LossSink = std::function<void(const torch::Tensor& loss)>;

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

  /// Forward pass of one batch. Hands on the loss of each parameter set, in their order, and makes the next one only
  /// after that, so that what many sets need for their gradients is not all held at once. Returns StepLosses::correct.
  virtual int64_t losses(const Batch& batch, const StepPosition& position, const LossSink& take) = 0;

  /// The same, all losses with their graphs.
  StepLosses step(const Batch& batch, const StepPosition& position) {
    StepLosses out;
    out.correct = losses(batch, position, [&](const torch::Tensor& loss) { out.losses.push_back(loss); });
    return out;
  }

  /// Metrics of the student as it is now, on held-out images. Leaves weights and statistics alone.
  virtual Metrics evaluate(const Dataset& data) = 0;
};

}  // namespace mfi
