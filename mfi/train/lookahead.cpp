#include "mfi/train/lookahead.h"

#include "mfi/nn/network.h"

namespace mfi {
namespace {

constexpr double kAlpha = 0.5;

}  // namespace

Lookahead::Lookahead(const torch::nn::Module& module, int64_t every)
    : every_(every), count_(torch::zeros({}, torch::kInt64)) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : named_tensors(module)) {
    names_.push_back(name);
    weights_.push_back(tensor.detach());
    slow_.push_back(tensor.detach().clone());
  }
}

void Lookahead::update() {
  torch::NoGradGuard no_grad;
  count_.add_(1);
  if (count_.item<int64_t>() % every_ != 0) return;
  at::_foreach_lerp_(slow_, weights_, kAlpha);
  at::_foreach_copy_(weights_, slow_);
  // That call does not say itself that it writes into the weights; the kernels keep what they made of the old ones.
  for (const auto& weights : weights_) torch::autograd::impl::bump_version(weights);
}

std::vector<std::pair<std::string, torch::Tensor>> Lookahead::state() const {
  std::vector<std::pair<std::string, torch::Tensor>> out{{"count", count_}};
  for (size_t i = 0; i < names_.size(); ++i) out.emplace_back(names_[i], slow_[i]);
  return out;
}

}  // namespace mfi
