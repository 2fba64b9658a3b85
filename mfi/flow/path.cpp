#include "mfi/flow/path.h"

#include "mfi/core/error.h"
#include "mfi/flow/shape_text.h"
#include "mfi/ops/path_ops.h"

namespace mfi {
namespace {

void require_same_shape(const char* where, const torch::Tensor& z0, const torch::Tensor& z1) {
  if (!z0.sizes().equals(z1.sizes()))
    throw ShapeError(std::string(where) + ": z0 is " + shape_text(z0) + ", z1 is " + shape_text(z1) +
                     "; both must have the same shape");
}

void require_one_for_each(const char* where, const torch::Tensor& numbers, const torch::Tensor& z) {
  if (numbers.dim() != 1 || z.dim() < 1 || numbers.size(0) != z.size(0))
    throw ShapeError(std::string(where) + ": " + shape_text(numbers) + " numbers for samples " + shape_text(z) +
                     "; expected one for each");
}

}  // namespace

torch::Tensor per_sample(const torch::Tensor& numbers, const torch::Tensor& z) {
  require_one_for_each("per_sample", numbers, z);
  std::vector<int64_t> shape(static_cast<size_t>(z.dim()), 1);
  shape[0] = z.size(0);
  return numbers.to(z.options().requires_grad(false)).view(shape);
}

torch::Tensor path_point(const torch::Tensor& z0, const torch::Tensor& z1, const torch::Tensor& t) {
  require_same_shape("path_point", z0, z1);
  require_one_for_each("path_point", t, z0);
  return interpolate_samples(z0, z1, t);
}

torch::Tensor path_velocity(const torch::Tensor& z0, const torch::Tensor& z1) {
  require_same_shape("path_velocity", z0, z1);
  return z1 - z0;
}

}  // namespace mfi
