// The straight path between a stage's aligned input and its output.
//
// Time 1 is the aligned stage input z1, time 0 the stage's output z0.
#pragma once

#include "mfi/core/torch.h"

namespace mfi {

/// z_t = (1 - t) z0 + t z1.
///
/// z0, z1: [N, ...], same floating type; t: [N], any floating type, rounded to float32 or to theirs.
/// Throws ShapeError when these shapes do not hold.
torch::Tensor path_point(const torch::Tensor& z0, const torch::Tensor& z1, const torch::Tensor& t);

/// v = dz_t/dt = z1 - z0, the same at every t: it points away from the output.
torch::Tensor path_velocity(const torch::Tensor& z0, const torch::Tensor& z1);

/// A number per sample, [N], as [N, 1, ...] of z's type, to be multiplied with z.
torch::Tensor per_sample(const torch::Tensor& numbers, const torch::Tensor& z);

}  // namespace mfi
