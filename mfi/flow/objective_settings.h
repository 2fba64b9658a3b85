// What a mapping minimises: a sum of terms with weights.
#pragma once

#include <cstdint>
#include <vector>

namespace mfi {

/// [objective]. Every term is a squared error relative to the mean square of the stage's target, so
/// weights mean the same in every stage.
struct ObjectiveSettings {
  double meanflow = 1;    // the MeanFlow identity on random (r, t)
  double endpoint = 1;    // the n-step result against the target
  double alignment = 0;   // the aligned input against the target
  double regression = 0;  // the stage's output against the target by plain squares, as any network would be
  double logits = 0;      // what the rest of the teacher answers to the stage's output, against its own answer
  bool gradient_through_velocity = true;      // let the MeanFlow term reach the alignment through v
  std::vector<int64_t> endpoint_steps = {0};  // the n, of which the mean is taken; 0: the stage's own number of steps
  double power = 0;                           // p of the adaptive weight 1 / (error + 1e-3)^p; 0: plain squares
  double r_equals_t = 0.75;                   // share of the samples with r = t
  double time_mean = -0.4;                    // times are sigmoid(N(time_mean, time_stddev))
  double time_stddev = 1;
};

}  // namespace mfi
