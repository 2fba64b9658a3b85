// Training flow stages to do what the teacher's stages do.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "mfi/distributed/processes.h"
#include "mfi/flow/objective.h"
#include "mfi/flow/objective_settings.h"
#include "mfi/nn/network.h"
#include "mfi/train/task.h"

namespace mfi {

struct MappingSettings {
  ObjectiveSettings objective;
  uint64_t seed = 0;                     // of the times that training draws
  torch::Dtype dtype = torch::kFloat32;  // of the activations in evaluate(); batches bring their own
  int64_t evaluation_batch_size = 250;
  Normalisation normalisation;     // of the images in evaluate()
  Processes* processes = nullptr;  // those that train and evaluate together, each with its share of every batch
};

/// Maps several stages at once: one pass of the teacher gives every stage's input and target, and each
/// stage has a loss and an optimiser of its own (see mfi/flow/objective.h). Stages do not see each other.
///
/// The student is a whole network, the meta model. Its flow stages are mapped; only they learn, whatever
/// weights they start from.
class MappingTask : public Task {
 public:
  /// Copies what it needs of `teacher`, which stays as it is; both networks live on the same device.
  /// Throws ShapeError when the student has no flow stage, or one that does not fit the teacher's.
  MappingTask(const Network& teacher, std::shared_ptr<Network> student, const MappingSettings& settings);

  torch::nn::Module& student() override { return *student_; }

  /// One set a stage, in order, named stage1, stage2, ...
  std::vector<ParameterSet> parameter_sets() override;
  void set_training_mode() override;

  /// One loss a set. The times drawn depend on the seed, the position and the stage only. With several
  /// processes these are the losses of this one's share, by the times and scales of the whole batch.
  StepLosses step(const Batch& batch, const StepPosition& position) override;

  /// With the student in eval mode, for every mapped stage:
  ///   stageN_error_1step, _2steps, _4steps  ||z0_hat - z0|| / ||z0||, norms over the whole dataset, of
  ///                                         the stage's output in that many steps against the
  ///                                         teacher's; only for multiples of its modules
  ///   stageN_swap_in_percent                top-1 of the teacher with only that stage replaced, in
  ///                                         the Arch's number of steps
  ///   stageN_swap_in_1step_percent, _2steps_percent, _4steps_percent  the same in that many
  /// and teacher_percent, the teacher's own top-1.
  Metrics evaluate(const Dataset& data) override;

 private:
  // The input of every stage up to the last mapped one, and then that one's output.
  std::vector<torch::Tensor> teacher_features(const torch::Tensor& images) const;

  std::shared_ptr<Network> teacher_;  // folded, in eval mode: its batch norms must not move the targets
  std::shared_ptr<Network> student_;
  std::vector<size_t> stages_;  // the mapped ones, rising
  MappingSettings settings_;
};

}  // namespace mfi
