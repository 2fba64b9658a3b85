// The value a stage's velocity network is trained towards.
#pragma once

#include "mfi/core/torch.h"

#include "mfi/flow/velocity_field.h"

namespace mfi {

/// Target mean velocity at path time t, looking back to r.
///
///   v - (t - r) * (du/dz * v + du/dt)
///
/// The MeanFlow identity (Geng et al., 2025, arXiv:2505.13447). The bracket is one Jacobian-vector
/// product, tangents (v, 0, 1) for (z, r, t): the field's total_derivative. It carries no gradient; the
/// result has the gradient of v and no other, so pass v.detach() for a constant target. This is the
/// definition; mapping trains on the difference to it (velocity_error in mfi/ops/path_ops.h), which it takes
/// in one pass.
///
/// z, v: [N, ...], same floating type and device.
/// r, t: [N] floating, 0 <= r <= t <= 1; time 1 is the aligned stage input, 0 its output.
/// distinct: only the first `distinct` samples have r < t and enter the product; -1: all enter.
/// Throws ShapeError when these shapes do not hold.
torch::Tensor mean_velocity_target(const VelocityField& u, const torch::Tensor& z, const torch::Tensor& v,
                                   const torch::Tensor& r, const torch::Tensor& t, int64_t distinct = -1);

}  // namespace mfi
