// Which times (r, t) training looks at.
#pragma once

#include "mfi/core/torch.h"

#include "mfi/core/batch_share.h"
#include "mfi/core/random.h"
#include "mfi/nn/flow_stage.h"

namespace mfi {

/// Times of one batch, 0 <= r <= t <= 1. Time 1 is the aligned stage input, 0 the stage's output.
struct Times {
  torch::Tensor r, t;    // float64 [N], on the CPU
  int64_t distinct = 0;  // the first `distinct` samples have r < t, all others r = t
};

/// t and r are the larger and the smaller of two draws of sigmoid(N(mean, stddev)) (Geng et al. 2025,
/// arXiv:2505.13447); r := t for a share of the samples.
///
/// We depart from the paper in that the share is exact, round((1 - r_equals_t) N) samples with r < t,
/// and these come first. Batches are shuffled, so position means nothing, and the Jacobian-vector
/// product runs on one leading slice without gathering samples.
struct TimeSchedule {
  double mean = -0.4;
  double stddev = 1;
  double r_equals_t = 0.75;  // in [0, 1]

  /// Times of `samples` samples within `interval`: a draw s becomes interval.r + s * its length.
  /// share: only these of them; they are the same whoever has the others.
  Times draw(int64_t samples, const Interval& interval, RandomStream& random, const BatchShare& share = {}) const;
};

}  // namespace mfi
