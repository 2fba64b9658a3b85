#include "mfi/flow/mean_velocity.h"

#include "mfi/core/error.h"
#include "mfi/flow/path.h"
#include "mfi/flow/shape_text.h"

namespace mfi {

torch::Tensor mean_velocity_target(const VelocityField& u, const torch::Tensor& z, const torch::Tensor& v,
                                   const torch::Tensor& r, const torch::Tensor& t, int64_t distinct) {
  if (!z.sizes().equals(v.sizes()) || z.dim() < 1)
    throw ShapeError("mean_velocity_target: z is " + shape_text(z) + ", v is " + shape_text(v) +
                     "; both must be [N, ...]");
  const int64_t samples = z.size(0);
  if (r.dim() != 1 || t.dim() != 1 || r.size(0) != samples || t.size(0) != samples)
    throw ShapeError("mean_velocity_target: r is " + shape_text(r) + ", t is " + shape_text(t) + "; both must be [" +
                     std::to_string(samples) + "]");
  if (distinct > samples)
    throw ShapeError("mean_velocity_target: " + std::to_string(distinct) + " samples with r < t of " +
                     std::to_string(samples));
  const int64_t count = distinct < 0 ? samples : distinct;
  if (count == 0) return v;

  auto target = v.clone();
  torch::NoGradGuard no_grad;
  const auto head = [count](const torch::Tensor& x) { return x.detach().narrow(0, 0, count); };
  const auto first_z = head(z);
  const auto derivative = u.total_derivative(first_z, head(v), head(r), head(t));
  // In place and unseen by autograd: subtracting a constant leaves v's gradient as it is.
  target.detach().narrow(0, 0, count).addcmul_(derivative, per_sample(head(t) - head(r), first_z), -1);
  return target;
}

}  // namespace mfi
