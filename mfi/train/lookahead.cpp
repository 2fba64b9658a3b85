#include "mfi/train/lookahead.h"

namespace mfi {
namespace {

constexpr double kAlpha = 0.5;

}  // namespace

Lookahead::Lookahead(const torch::nn::Module& module, int64_t every)
    : every_(every), count_(torch::zeros({}, torch::kInt64)), tensors_(module) {}

void Lookahead::update() {
  torch::NoGradGuard no_grad;
  count_.add_(1);
  if (count_.item<int64_t>() % every_ != 0) return;
  at::_foreach_lerp_(tensors_.copies, tensors_.weights, kAlpha);
  at::_foreach_copy_(tensors_.weights, tensors_.copies);
  // That call does not say itself that it writes into the weights; the kernels keep what they made of the old ones.
  for (const auto& weights : tensors_.weights) torch::autograd::impl::bump_version(weights);
}

}  // namespace mfi
