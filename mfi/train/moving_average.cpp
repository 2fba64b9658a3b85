#include "mfi/train/moving_average.h"

#include <algorithm>

#include "mfi/nn/network.h"

namespace mfi {

MovingAverage::MovingAverage(const torch::nn::Module& module, double decay)
    : decay_(decay), count_(torch::zeros({}, torch::kFloat64)) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : named_tensors(module)) {
    names_.push_back(name);
    weights_.push_back(tensor.detach());
    averages_.push_back(tensor.detach().clone());
  }
}

void MovingAverage::update() {
  torch::NoGradGuard no_grad;
  count_.add_(1);
  const double n = count_.item<double>();
  at::_foreach_lerp_(averages_, weights_, 1 - std::min(decay_, (1 + n) / (10 + n)));
}

void MovingAverage::swap() {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < weights_.size(); ++i) {
    const auto weights = weights_[i].clone();
    weights_[i].copy_(averages_[i]);
    averages_[i].copy_(weights);
  }
}

std::vector<std::pair<std::string, torch::Tensor>> MovingAverage::state() const {
  std::vector<std::pair<std::string, torch::Tensor>> out{{"count", count_}};
  for (size_t i = 0; i < names_.size(); ++i) out.emplace_back(names_[i], averages_[i]);
  return out;
}

}  // namespace mfi
