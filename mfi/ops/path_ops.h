// The arithmetic of a path between two features, each as one pass: what mfi/flow is made of.
#pragma once

#include "mfi/core/torch.h"

namespace mfi {

/// z_t = z0 + t (z1 - z0), for each sample its t.
///
/// z0, z1: [N, ...] of one floating type, which is also the result's; t: [N] of any floating type. Differentiable, but
/// where z0 wants no gradient and they are [N, C, H, W] only once, and in one pass.
torch::Tensor interpolate_samples(const torch::Tensor& z0, const torch::Tensor& z1, const torch::Tensor& t);

/// The mean square of e = u - (z1 - z0 - step * derivative) of each sample: [N], float32, or float64 for that.
///
/// u, z0, z1: [N, C, H, W] of one floating type. derivative: the same for the first K samples, and step [K]; the
/// others have none. Differentiable once in u and z1; all else is constant. Keeps e, and nothing more.
torch::Tensor velocity_error(const torch::Tensor& u, const torch::Tensor& z0, const torch::Tensor& z1,
                             const torch::Tensor& derivative, const torch::Tensor& step);

/// The same by LibTorch's operators: their definitions, and what runs where activations are neither float32 nor
/// bfloat16 on a CPU. They differ by the rounding of what stands between their operators: at most 1e-5 in float32 and
/// 2e-2 in bfloat16, relative to the largest value.
torch::Tensor interpolate_samples_reference(const torch::Tensor& z0, const torch::Tensor& z1, const torch::Tensor& t);
torch::Tensor velocity_error_reference(const torch::Tensor& u, const torch::Tensor& z0, const torch::Tensor& z1,
                                       const torch::Tensor& derivative, const torch::Tensor& step);

}  // namespace mfi
