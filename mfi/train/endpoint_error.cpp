#include "mfi/train/endpoint_error.h"

#include <cmath>

#include "mfi/flow/squared_error.h"

namespace mfi {
namespace {

constexpr int64_t kEvaluatedSteps[] = {1, 2, 4};

// Of a whole batch at once float32 would lose the small ones: 1 % of them at 224 pixels.
double sum_of_squares(const torch::Tensor& x) {
  const auto norms = at::linalg_vector_norm(x, 2, at::IntArrayRef{1, 2, 3}, false, torch::kFloat32);
  return norms.to(torch::kFloat64).square().sum().item<double>();
}

}  // namespace

EndpointError::EndpointError(const Part& stage) {
  const auto* flow = dynamic_cast<const FlowStage*>(&stage);
  if (!flow) {
    squared_error_[kNoSteps] = 0;
    return;
  }
  for (const int64_t steps : kEvaluatedSteps)
    if (steps % flow->arch().modules == 0) squared_error_[steps] = 0;
}

std::map<int64_t, torch::Tensor> EndpointError::add(Part& stage, const torch::Tensor& x, const torch::Tensor& z0) {
  std::map<int64_t, torch::Tensor> outputs;
  if (const auto* flow = dynamic_cast<const FlowStage*>(&stage)) {
    const auto z1 = flow->align(x);
    for (const auto& [steps, error] : squared_error_) outputs[steps] = flow->integrate(z1, steps);
    const int64_t own = flow->arch().steps;
    if (!outputs.contains(own)) outputs[own] = flow->integrate(z1, own);
  } else {
    outputs[kNoSteps] = stage.forward(x);
  }
  squared_target_ += sum_of_squares(z0);
  for (auto& [steps, squared_error] : squared_error_) squared_error += sum_of_squares(outputs.at(steps) - z0);
  return outputs;
}

void EndpointError::append_to(Metrics& metrics, const std::string& prefix) const {
  for (const auto& [steps, squared_error] : squared_error_)
    metrics.emplace_back(prefix + (steps == kNoSteps ? "error" : "error_" + steps_name(steps)),
                         std::sqrt(squared_error / squared_target_));
}

std::vector<int64_t> EndpointError::steps() const {
  std::vector<int64_t> out;
  for (const auto& [steps, error] : squared_error_) out.push_back(steps);
  return out;
}

int64_t own_steps(const Part& stage) {
  const auto* flow = dynamic_cast<const FlowStage*>(&stage);
  return flow ? flow->arch().steps : EndpointError::kNoSteps;
}

std::string steps_name(int64_t steps) { return std::to_string(steps) + (steps == 1 ? "step" : "steps"); }

std::vector<std::optional<WholeBatch>> whole_batches(const std::vector<torch::Tensor>& targets, int64_t samples,
                                                     Processes* processes) {
  std::vector<std::optional<WholeBatch>> out(targets.size());
  if (!processes) {
    for (size_t i = 0; i < out.size(); ++i) {
      // Several parts may learn one stage.
      const bool known = i > 0 && targets[i].is_same(targets[i - 1]);
      out[i] = known ? *out[i - 1] : WholeBatch{{}, targets[i].size(0), mean_square_per_sample(targets[i]).mean()};
    }
    return out;
  }
  std::vector<double> sums;
  for (const auto& z0 : targets) sums.push_back(mean_square_per_sample(z0).sum(torch::kFloat64).item<double>());
  processes->sum(sums);
  for (size_t i = 0; i < out.size(); ++i) {
    const auto type = targets[i].scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
    out[i] = {processes->share(), samples,
              torch::full({}, sums[i] / static_cast<double>(samples), targets[i].options().dtype(type))};
  }
  return out;
}

}  // namespace mfi
