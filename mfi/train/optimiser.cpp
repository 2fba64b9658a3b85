#include "mfi/train/optimiser.h"

namespace mfi {

Optimiser::Optimiser(const ParameterSet& set, const StepSettings& settings)
    : settings_(settings), name_(set.name), groups_(2) {
  groups_[0].weight_decay = settings.weight_decay;
  groups_[1].weight_decay = 0;
  for (const auto& [name, parameter] : set.parameters) {
    auto& group = groups_[parameter.dim() > 1 ? 0 : 1];
    group.names.push_back(name);
    group.parameters.push_back(parameter);
    // Without momentum SGD keeps nothing, and LibTorch's call takes nothing then.
    if (settings.optimiser == "adamw" || settings.momentum > 0) group.first.push_back(torch::zeros_like(parameter));
    if (settings.optimiser == "adamw") group.second.push_back(torch::zeros_like(parameter));
  }
  for (auto& group : groups_) {
    const auto device = group.parameters.empty() ? torch::Device("cpu") : group.parameters[0].device();
    group.count = torch::zeros({}, torch::TensorOptions().dtype(torch::kFloat32).device(device));
  }
}

void Optimiser::zero_grad() {
  for (auto& group : groups_)
    for (auto& parameter : group.parameters) parameter.mutable_grad().reset();
}

void Optimiser::step(double learning_rate) {
  torch::NoGradGuard no_grad;
  for (auto& group : groups_) step(group, learning_rate);
}

void Optimiser::step(Group& group, double learning_rate) {
  std::vector<torch::Tensor> parameters, gradients, first, second, counts;
  for (size_t i = 0; i < group.parameters.size(); ++i) {
    const auto& gradient = group.parameters[i].grad();
    if (!gradient.defined()) continue;
    parameters.push_back(group.parameters[i]);
    gradients.push_back(gradient);
    if (!group.first.empty()) first.push_back(group.first[i]);
    if (!group.second.empty()) second.push_back(group.second[i]);
    counts.push_back(group.count);
  }
  if (parameters.empty()) return;
  const bool first_step = group.count.item<float>() == 0;
  group.count.add_(1);
  if (settings_.optimiser == "adamw") {
    at::_fused_adamw_(parameters, gradients, first, second, /*max_exp_avg_sqs=*/{}, counts, learning_rate,
                      /*beta1=*/0.9, /*beta2=*/0.999, group.weight_decay, /*eps=*/1e-8,
                      /*amsgrad=*/false, /*maximize=*/false);
  } else {
    at::_fused_sgd_(parameters, gradients, first, group.weight_decay, settings_.momentum, learning_rate,
                    /*dampening=*/0, /*nesterov=*/settings_.momentum > 0, /*maximize=*/false, first_step);
  }
  // These two do not say themselves that they write into the parameters.
  for (const auto& parameter : parameters) torch::autograd::impl::bump_version(parameter);
}

std::vector<std::pair<std::string, torch::Tensor>> Optimiser::state() const {
  std::vector<std::pair<std::string, torch::Tensor>> out;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const auto& group = groups_[g];
    out.emplace_back(name_ + ".group" + std::to_string(g) + ".count", group.count);
    for (size_t i = 0; i < group.names.size(); ++i) {
      if (!group.first.empty()) out.emplace_back(name_ + "." + group.names[i] + ".first", group.first[i]);
      if (!group.second.empty()) out.emplace_back(name_ + "." + group.names[i] + ".second", group.second[i]);
    }
  }
  return out;
}

}  // namespace mfi
