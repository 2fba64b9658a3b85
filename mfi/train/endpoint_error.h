// How far mapped stages end from what they are to end at, over a whole dataset; and what a batch that several processes
// share is as a whole.
#pragma once

#include "mfi/core/torch.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mfi/distributed/processes.h"
#include "mfi/flow/objective.h"
#include "mfi/nn/part.h"
#include "mfi/train/observer.h"

namespace mfi {

/// ||z0_hat - z0|| / ||z0||, norms over all that was added, for z0_hat in 1, 2 and 4 steps where these are multiples of
/// a flow stage's modules. Residual blocks take no steps: theirs is one error, and their number of steps kNoSteps.
class EndpointError {
 public:
  static constexpr int64_t kNoSteps = 0;

  /// Knows its numbers of steps from the start, so that processes without any image of their own can add up.
  explicit EndpointError(const Part& stage);

  /// Adds a batch: x the stage's input, z0 its target. Returns the stage's outputs by their numbers of steps: those,
  /// and its own.
  std::map<int64_t, torch::Tensor> add(Part& stage, const torch::Tensor& x, const torch::Tensor& z0);

  /// The numbers of steps that an error is measured for.
  std::vector<int64_t> steps() const;

  /// prefix + "error_1step", "error_2steps", "error_4steps"; "error" of residual blocks.
  void append_to(Metrics& metrics, const std::string& prefix) const;

  /// Calls visit with a reference to every sum, always in the same order.
  template <class Visit>
  void visit_sums(const Visit& visit) {
    for (auto& [steps, error] : squared_error_) visit(error);
    visit(squared_target_);
  }

 private:
  std::map<int64_t, double> squared_error_;  // by number of steps
  double squared_target_ = 0;
};

/// The steps that a stage takes in its network; EndpointError::kNoSteps for residual blocks.
int64_t own_steps(const Part& stage);

/// "1step", "2steps": a number of steps in a metric's name.
std::string steps_name(int64_t steps);

/// For the share that each of `targets` (z0; the same ones side by side) is, what an objective has to know of the whole
/// batch of `samples`. All processes call this together; without them (null) the share is the whole.
std::vector<std::optional<WholeBatch>> whole_batches(const std::vector<torch::Tensor>& targets, int64_t samples,
                                                     Processes* processes);

/// Keeps the times that a mapping draws apart from other uses of the run's seed, the augmentation for one.
constexpr uint64_t kTimeDraws = 0x74696D6573ull;

}  // namespace mfi
