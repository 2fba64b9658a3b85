// Training stages to do what the teacher's stages do.
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
  double own_input = 0;  // share of a batch, at the training's end, whose stages see the student's own stages before
  uint64_t seed = 0;     // of the times that training draws
  torch::Dtype dtype = torch::kFloat32;  // of the activations in evaluate(); batches bring their own
  int64_t evaluation_batch_size = 250;
  Normalisation normalisation;     // of the images in evaluate()
  Processes* processes = nullptr;  // those that train and evaluate together, each with its share of every batch
};

/// A part that learns to do what a stage of the teacher does.
struct MappedStage {
  std::string name;            // of its losses, its metrics and, with a dot behind, its parameters: "stage2"
  size_t stage = 0;            // of the teacher, from 0
  std::shared_ptr<Part> part;  // a FlowStage, or a BlocksStage of fewer or narrower blocks
};

/// The stages of `student` that are flow or of other blocks than the teacher's, by their parts' names. Throws
/// ShapeError when there is none, or one whose channels or stride are not the teacher's.
std::vector<MappedStage> mapped_stages(const Arch& teacher, const Network& student);

/// Maps several stages at once: one pass of the teacher gives every stage's input and target, and each
/// mapped stage has a loss and an optimiser of its own (see mfi/flow/objective.h). No gradient goes from one to
/// another.
///
/// settings.objective.logits adds KL(teacher || teacher with that stage replaced) of the class probabilities, mean over
/// the images: the rest of the teacher says which of a stage's errors matter.
///
/// A network of mapped stages gives each of them other inputs than the teacher's stages did. With settings.own_input,
/// a growing share of each batch, at its end that one, goes through the student's own stages instead, and their targets
/// stay the teacher's: a stage learns to make up for the errors of those before it.
class MappingTask : public Task {
 public:
  /// The student is a whole network, the meta model; of it the mapped_stages() learn, whatever weights they start from.
  /// Copies what it needs of `teacher`, which stays as it is; both networks live on the same device. Stages of the
  /// student that are not mapped have to have the teacher's weights where own_input is above 0.
  MappingTask(const Network& teacher, std::shared_ptr<Network> student, const MappingSettings& settings);

  /// The same for parts of any module, also several for one stage of the teacher. `stages` in the order of their
  /// teacher's stages; with own_input above 0 at most one for each.
  MappingTask(const Network& teacher, std::shared_ptr<torch::nn::Module> student, std::vector<MappedStage> stages,
              const MappingSettings& settings);

  torch::nn::Module& student() override { return *student_; }

  /// One set a mapped stage, in order, with its name.
  std::vector<ParameterSet> parameter_sets() override;
  void set_training_mode() override;

  /// One loss a set. The times drawn depend on the seed, the position and the teacher's stage only. With several
  /// processes these are the losses of this one's share, by the times and scales of the whole batch.
  int64_t losses(const Batch& batch, const StepPosition& position, const LossSink& take) override;

  /// With the student in eval mode, for every mapped stage, NAME its name:
  ///   NAME_error_1step, _2steps, _4steps  ||z0_hat - z0|| / ||z0||, norms over the whole dataset, of
  ///                                       the stage's output in that many steps against the
  ///                                       teacher's; only for multiples of its modules
  ///   NAME_error                          the same of residual blocks
  ///   NAME_swap_in_percent                top-1 of the teacher with only that stage replaced, in
  ///                                       the Arch's number of steps
  ///   NAME_swap_in_1step_percent, _2steps_percent, _4steps_percent  the same in that many
  /// and teacher_percent, the teacher's own top-1.
  Metrics evaluate(const Dataset& data) override;

 private:
  // The input of every stage up to the last mapped one, and then that one's output.
  std::vector<torch::Tensor> teacher_features(const torch::Tensor& images) const;
  // The loss of mapped stage `index` for input x and target z0, and its output where it was asked for.
  ObjectiveValue stage_loss(size_t index, const torch::Tensor& x, const torch::Tensor& z0,
                            const std::optional<WholeBatch>& whole, const StepPosition& position,
                            bool with_output) const;

  std::shared_ptr<Network> teacher_;  // folded, in eval mode: its batch norms must not move the targets
  std::shared_ptr<torch::nn::Module> student_;
  std::vector<MappedStage> stages_;
  MappingSettings settings_;
};

}  // namespace mfi
