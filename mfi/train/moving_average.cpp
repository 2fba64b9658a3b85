#include "mfi/train/moving_average.h"

#include <algorithm>

namespace mfi {

MovingAverage::MovingAverage(const torch::nn::Module& module, double decay)
    : decay_(decay), count_(torch::zeros({}, torch::kFloat64)), tensors_(module) {}

void MovingAverage::update() {
  torch::NoGradGuard no_grad;
  count_.add_(1);
  const double n = count_.item<double>();
  at::_foreach_lerp_(tensors_.copies, tensors_.weights, 1 - std::min(decay_, (1 + n) / (10 + n)));
}

void MovingAverage::swap() {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < tensors_.weights.size(); ++i) {
    const auto weights = tensors_.weights[i].clone();
    tensors_.weights[i].copy_(tensors_.copies[i]);
    tensors_.copies[i].copy_(weights);
  }
}

}  // namespace mfi
