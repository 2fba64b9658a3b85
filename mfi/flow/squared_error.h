// Squared errors of samples, summed in float32 whatever the activations' type.
#pragma once

#include "mfi/core/torch.h"

namespace mfi {

/// Mean square of each sample, [N], of a difference [N, ...].
///
/// float32 for bfloat16 and float32 differences, float64 for float64. One pass forward, one backward:
/// autograd's own square and mean would keep full-size temporaries, in float32.
torch::Tensor mean_square_per_sample(const torch::Tensor& difference);

}  // namespace mfi
