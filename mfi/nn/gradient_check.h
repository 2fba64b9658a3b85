// Gradients against finite differences, for tests.
#pragma once

#include <gtest/gtest.h>
#include "mfi/core/torch.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace mfi {

using NamedGradients = std::vector<std::pair<std::string, torch::Tensor>>;

/// Reverse-mode gradient of `loss`, a scalar with graph, for each named float64 leaf; zero where the
/// loss does not reach it.
inline NamedGradients gradients_of(const torch::Tensor& loss, const NamedGradients& leaves) {
  std::vector<torch::Tensor> tensors;
  for (const auto& [name, leaf] : leaves) tensors.push_back(leaf);
  const auto found = torch::autograd::grad({loss}, tensors, {}, std::nullopt, false, /*allow_unused=*/true);
  NamedGradients out;
  for (size_t i = 0; i < leaves.size(); ++i)
    out.emplace_back(leaves[i].first, found[i].defined() ? found[i] : torch::zeros_like(tensors[i]));
  return out;
}

/// Expects `gradients` to be those of `loss`, element by element, by central differences.
///
/// With step 1e-5 in float64 the truncation error is near 1e-10 and rounding near 1e-11 times the loss;
/// 1e-6 leaves room for losses up to 1e3 and still catches any term that is missing.
inline void expect_central_differences(const std::function<torch::Tensor()>& loss, const NamedGradients& leaves,
                                       const NamedGradients& gradients) {
  constexpr double kStep = 1e-5, kTolerance = 1e-6;
  torch::NoGradGuard no_grad;
  ASSERT_EQ(leaves.size(), gradients.size());
  for (size_t i = 0; i < leaves.size(); ++i) {
    auto flat = leaves[i].second.detach().view(-1);
    ASSERT_EQ(flat.scalar_type(), torch::kFloat64) << leaves[i].first;
    auto* values = flat.data_ptr<double>();
    const auto actual = gradients[i].second.contiguous().view(-1);
    for (int64_t j = 0; j < flat.numel(); ++j) {
      const double value = values[j];
      values[j] = value + kStep;
      const double above = loss().item<double>();
      values[j] = value - kStep;
      const double below = loss().item<double>();
      values[j] = value;
      const double expected = (above - below) / (2 * kStep);
      EXPECT_NEAR(actual[j].item<double>(), expected, kTolerance * std::max(1.0, std::abs(expected)))
          << leaves[i].first << "[" << j << "]";
    }
  }
}

/// The same for the gradients that reverse mode gives.
inline void expect_right_gradients(const std::function<torch::Tensor()>& loss, const NamedGradients& leaves) {
  expect_central_differences(loss, leaves, gradients_of(loss(), leaves));
}

/// A module in float64 whose every parameter and statistic is off its starting value, contiguous so
/// that elements can be moved one by one.
template <class Module>
void randomise(Module& module, uint64_t seed) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(seed);
  module.to(torch::kFloat64);
  for (auto& parameter : module.parameters()) {
    parameter.set_data(parameter.contiguous());
    parameter.uniform_(-0.8, 0.8);
  }
  for (auto& buffer : module.buffers()) buffer.uniform_(0.5, 1.5);
}

/// Parameters of a module by name.
inline NamedGradients named_leaves(const torch::nn::Module& module) {
  NamedGradients out;
  for (const auto& item : module.named_parameters()) out.emplace_back(item.key(), item.value());
  return out;
}

}  // namespace mfi
