// How far two tensors are apart, for tests.
#pragma once

#include "mfi/core/torch.h"

namespace mfi {

/// The largest difference of their values, relative to the largest value of `expected`.
inline double largest_difference(const torch::Tensor& actual, const torch::Tensor& expected) {
  const auto a = actual.detach().to(torch::kFloat64), b = expected.detach().to(torch::kFloat64);
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-6)).item<double>();
}

}  // namespace mfi
