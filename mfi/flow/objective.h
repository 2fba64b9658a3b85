// The loss by which a flow stage learns to imitate a stage of the teacher.
#pragma once

#include "mfi/core/torch.h"

#include <optional>

#include "mfi/core/batch_share.h"
#include "mfi/core/random.h"
#include "mfi/flow/objective_settings.h"
#include "mfi/nn/flow_stage.h"

namespace mfi {

/// A mapping loss and what it is made of.
struct ObjectiveValue {
  torch::Tensor loss;  // scalar with graph: the weighted sum of the terms

  // The terms before weighting, scalars without graph; undefined where the weight is 0.
  torch::Tensor meanflow, endpoint, alignment, regression;

  torch::Tensor output;  // with graph: the stage's output in its own number of steps, where it was asked for
};

/// The batch that x and z0 are a share of, where several processes each have one.
struct WholeBatch {
  BatchShare share;
  int64_t samples = 0;        // in all shares together
  torch::Tensor mean_square;  // scalar: the mean square of z0 in all of them
};

/// Loss of one batch.
///
///   meanflow    u(z_t, r, t) against its target (mean_velocity.h); with several modules each one on
///               its own interval of the path, and the mean over the modules
///   endpoint    z0 as integrated in n steps, against z0; of several n in endpoint_steps the mean
///   alignment   z1 = align(x) against z0
///   regression  the stage's output, in the Arch's number of steps, against z0
///
/// A term is the batch's mean of w * e, where e is a sample's squared error, its mean over C, H, W,
/// divided by the batch's mean square of z0, and w = 1 / (e + 1e-3)^power carries no gradient (Geng et
/// al. 2025, section 4.3, with e relative). Regression takes w = 1 whatever the power, so with power 0
/// and endpoint_steps equal to the stage's own steps it is the same as endpoint; both exist so that
/// the control by regression does not change when endpoint's settings do. settings.logits asks for what is behind the
/// stage and is the caller's (MappingTask).
///
/// stage: not folded; in training mode its batch norm uses and updates the batch's statistics, once.
/// x: teacher's stage input [N, Cin, H, W], z0: its output [N, C, H', W'], same type, without graph.
/// whole: given, the loss is this share's part of the whole batch's: its mean over the samples at hand, with
/// the times and the scale that they have there. The mean of all shares' losses, weighted by their samples, is
/// then the whole batch's, but for the alignment's batch norm (share_batch_statistics).
/// with_output: give the stage's output too; at no cost where a term has it.
/// random: where the times are drawn from. Sums and the result are float32 (float64 for float64).
/// Throws ShapeError when z0 does not have the shape of the stage's output.
ObjectiveValue mapping_objective(const FlowStage& stage, const torch::Tensor& x, const torch::Tensor& z0,
                                 const ObjectiveSettings& settings, RandomStream random,
                                 const std::optional<WholeBatch>& whole = std::nullopt, bool with_output = false);

/// Loss of a stage that takes no steps, residual blocks: its output [N, C, H, W] against z0, as the regression term
/// above has it.
torch::Tensor regression_loss(const torch::Tensor& output, const torch::Tensor& z0,
                              const std::optional<WholeBatch>& whole = std::nullopt);

}  // namespace mfi
