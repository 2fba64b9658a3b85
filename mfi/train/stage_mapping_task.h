// Training a flow stage to do what one stage of somebody else's network does.
#pragma once

#include "mfi/core/torch.h"

#include <functional>
#include <memory>
#include <vector>

#include "mfi/nn/flow_stage.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/task.h"

namespace mfi {

/// What goes into a stage and what comes out of it, for the same images.
struct StageFeatures {
  torch::Tensor input;   // [N, C_in, H, W]
  torch::Tensor output;  // [N, C, H', W']
};

/// A network as seen from one of its stages: the stage's features for a batch of images.
///
/// images: [N, 3, H, W], normalised, channels-last, of the training's precision and on its device. Features may be of
/// any floating type. Called without a graph. Has to be the same function all the time: a torch::nn::Module must be in
/// eval mode, or its batch norms move the targets.
using StageTeacher = std::function<StageFeatures(const torch::Tensor& images)>;

/// A flow stage with the channels and the stride of a stage with these features. Throws ShapeError when they are not
/// [N, C, H, W], or when no stride leads from the input's resolution to the output's.
StageArch matching_flow_stage(const StageFeatures& features, const FlowArch& flow);

/// Maps one stage of any network, by the loss of mfi/flow/objective.h. MappingTask does the same for all stages of a
/// Network of mfi at once.
class StageMappingTask : public Task {
 public:
  /// stage: not folded, with starting weights (initialise()); on the device of the training. Throws RecipeError for
  /// settings.objective.logits and settings.own_input above 0: what is around the stage is not known here.
  StageMappingTask(StageTeacher teacher, std::shared_ptr<FlowStage> stage, const MappingSettings& settings);

  torch::nn::Module& student() override { return *stage_; }

  /// One set, named stage.
  std::vector<ParameterSet> parameter_sets() override;
  void set_training_mode() override { stage_->train(); }

  /// The times drawn depend on the seed and the position only. Throws ShapeError when the teacher's features do not
  /// fit the stage.
  int64_t losses(const Batch& batch, const StepPosition& position, const LossSink& take) override;

  /// error_1step, error_2steps and error_4steps of the stage in eval mode: ||z0_hat - z0|| / ||z0||, norms over the
  /// whole dataset, of its output in so many steps against the teacher's; only for multiples of its modules. 1 is what
  /// an output of zero would have.
  Metrics evaluate(const Dataset& data) override;

 private:
  StageFeatures features(const torch::Tensor& images) const;

  StageTeacher teacher_;
  std::shared_ptr<FlowStage> stage_;
  MappingSettings settings_;
};

}  // namespace mfi
