// Steps on random weights and images: what 'mfi plan' estimates by and 'mfi bench' measures.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mfi/nn/network.h"
#include "mfi/train/optimiser.h"
#include "mfi/train/settings.h"
#include "mfi/train/task.h"

namespace mfi {

std::shared_ptr<Network> started_network(const Arch& arch);

/// `images` images and labels such as `arch` takes, on the runtime's device and in its precision.
Batch random_batch(const Arch& arch, int64_t images, const RuntimeSettings& runtime);

/// One training step after the other: what the Trainer does with a batch, but for the reading of the losses.
class TrainingStep {
 public:
  /// The task's student is on its device already.
  TrainingStep(std::unique_ptr<Task> task, const StepSettings& settings, double learning_rate);

  /// Returns when the step is done, on a GPU too.
  void operator()(const Batch& batch);

 private:
  std::unique_ptr<Task> task_;
  std::vector<Optimiser> optimisers_;
  double learning_rate_;
  int64_t steps_ = 0;
};

}  // namespace mfi
