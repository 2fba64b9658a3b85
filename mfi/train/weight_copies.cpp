#include "mfi/train/weight_copies.h"

#include "mfi/nn/network.h"

namespace mfi {

WeightCopies::WeightCopies(const torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : named_tensors(module)) {
    names.push_back(name);
    weights.push_back(tensor.detach());
    copies.push_back(tensor.detach().clone());
  }
}

std::vector<std::pair<std::string, torch::Tensor>> WeightCopies::state(const torch::Tensor& count) const {
  std::vector<std::pair<std::string, torch::Tensor>> out{{"count", count}};
  for (size_t i = 0; i < names.size(); ++i) out.emplace_back(names[i], copies[i]);
  return out;
}

}  // namespace mfi
