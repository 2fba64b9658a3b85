#include "mfi/nn/flow_stage.h"

#include <algorithm>
#include <numeric>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/ops/conv_bias.h"

namespace mfi {

std::vector<ConvShape> velocity_shapes(int64_t channels, const FlowArch& arch) {
  ConvShape middle{arch.hidden, arch.hidden, 1, 1};
  if (arch.kind != VelocityKind::pointwise) {
    middle.kernel = arch.kernel;
    middle.dilation = arch.dilation;
  }
  if (arch.kind == VelocityKind::depthwise) middle.groups = arch.hidden;
  std::vector<ConvShape> shapes{{channels, arch.hidden, 1, 1}};
  shapes.insert(shapes.end(), static_cast<size_t>(arch.depth), middle);
  shapes.push_back({arch.hidden, channels, 1, 1});
  return shapes;
}

bool pools_first(const StageArch& stage) {
  return stage.stride > 1 && std::get<FlowArch>(stage.body).downsampling == Downsampling::average;
}

ConvShape alignment_shape(const StageArch& stage) {
  return {stage.in_channels, stage.out_channels, std::get<FlowArch>(stage.body).alignment,
          pools_first(stage) ? 1 : stage.stride};
}

VelocityNetwork::VelocityNetwork(int64_t channels, const FlowArch& arch, int64_t folded_steps) : hidden_(arch.hidden) {
  const auto shapes = velocity_shapes(channels, arch);
  for (size_t i = 0; i < shapes.size(); ++i) {
    const bool last = i + 1 == shapes.size();
    const std::string name = i == 0 ? "enter" : last ? "leave" : "middle" + std::to_string(i - 1);
    convs_.push_back(register_module(name, std::make_shared<Convolution>(shapes[i], /*with_bias=*/last)));
  }
  const int64_t biases = (arch.depth + 1) * hidden_;
  if (folded_steps > 0) {
    time_bias = register_parameter("time_bias", torch::zeros({folded_steps, biases}));
  } else {
    time_weight = register_parameter("time_weight", torch::zeros({biases, 2}));
    time_bias = register_parameter("time_bias", torch::zeros({biases}));
  }
}

torch::Tensor VelocityNetwork::time_biases(const torch::Tensor& r, const torch::Tensor& t) const {
  return at::linear(torch::stack({r, t - r}, 1), time_weight, time_bias);
}

torch::Tensor VelocityNetwork::until_leave(const torch::Tensor& z, const torch::Tensor& biases) const {
  auto y = z;
  for (size_t i = 0; i + 1 < convs_.size(); ++i) {
    const auto bias = biases.narrow(1, static_cast<int64_t>(i) * hidden_, hidden_);
    // One time for the whole batch: one bias for all samples.
    y = convs_[i]->forward(y, bias.size(0) == 1 ? bias[0] : bias, /*relu=*/true);
  }
  return y;
}

torch::Tensor VelocityNetwork::forward(const torch::Tensor& z, const torch::Tensor& r, const torch::Tensor& t) const {
  return convs_.back()->forward(until_leave(z, time_biases(r, t)));
}

torch::Tensor VelocityNetwork::displacement(const torch::Tensor& z, const torch::Tensor& biases,
                                            const torch::Tensor& length) const {
  const auto& leave = *convs_.back();
  return conv_bias(until_leave(z, biases), leave.weight * length, leave.bias * length, leave.shape().grid(),
                   /*shortcut=*/{}, /*relu=*/false);
}

torch::Tensor VelocityNetwork::total_derivative(const torch::Tensor& z, const torch::Tensor& v, const torch::Tensor& r,
                                                const torch::Tensor& t) const {
  torch::NoGradGuard no_grad;
  const int64_t samples = z.size(0);
  // A row of biases for every sample, then of their tangents, the same for all.
  const auto tangents = time_weight.select(1, 1).unsqueeze(0).expand({samples, -1});
  const auto biases = torch::cat({time_biases(r, t).expand({samples, -1}), tangents});
  auto both = torch::cat({z, v});
  for (size_t i = 0; i + 1 < convs_.size(); ++i) {
    const auto bias = biases.narrow(1, static_cast<int64_t>(i) * hidden_, hidden_);
    both = conv_relu_with_tangents(both, convs_[i]->weight, bias, convs_[i]->shape().grid());
  }
  // The last bias does not depend on time.
  return conv_bias(both.narrow(0, samples, samples), convs_.back()->weight, /*bias=*/{}, /*stride=*/1, /*shortcut=*/{},
                   /*relu=*/false);
}

torch::Tensor VelocityNetwork::forward_folded(const torch::Tensor& z, int64_t step) const {
  return convs_.back()->forward(until_leave(z, time_bias.narrow(0, step, 1)));
}

FlowStage::FlowStage(const StageArch& arch, bool folded)
    : arch_(std::get<FlowArch>(arch.body)), folded_(folded), pooling_(pools_first(arch) ? arch.stride : 1) {
  alignment_ = register_module("alignment", std::make_shared<ConvNorm>(alignment_shape(arch), folded));
  for (int64_t i = 0; i < arch_.modules; ++i)
    velocities_.push_back(register_module(
        "velocity" + std::to_string(i),
        std::make_shared<VelocityNetwork>(arch.out_channels, arch_, folded ? arch_.steps / arch_.modules : 0)));
  if (!arch_.learns_steps()) return;
  if (folded)
    step_lengths = register_parameter("step_lengths", torch::zeros({arch_.steps}));
  else
    step_logits = register_parameter("step_logits", torch::zeros({arch_.steps}));
}

torch::Tensor FlowStage::align(const torch::Tensor& x) const {
  // With ceil_mode an odd size becomes that of a strided convolution: the last mean is of the pixels that there are.
  const auto pooled = pooling_ == 1 ? x
                                    : at::avg_pool2d(x, {pooling_, pooling_}, {pooling_, pooling_}, {0, 0},
                                                     /*ceil_mode=*/true, /*count_include_pad=*/false);
  return alignment_->forward(pooled, /*shortcut=*/{}, /*relu=*/true);
}

void FlowStage::require_steps(int64_t steps) const {
  if (steps < 1 || steps % arch_.modules != 0 || (folded_ && steps != arch_.steps))
    throw ShapeError(format("FlowStage: %lld steps with %lld modules%s; expected a multiple",
                            static_cast<long long>(steps), static_cast<long long>(arch_.modules),
                            folded_ ? ", folded" : ""));
}

torch::Tensor FlowStage::integrate(const torch::Tensor& z1, int64_t steps) const {
  require_steps(steps);
  if (arch_.learns_steps() && steps == arch_.steps) return integrate_learned(z1);
  const int64_t steps_per_module = steps / arch_.modules;
  auto z = z1;
  int64_t i = 0;
  for (const auto& step : time_steps(steps)) {
    const auto& velocity = velocities_[i / steps_per_module];
    torch::Tensor u;
    if (folded_) {
      u = velocity->forward_folded(z, i % steps_per_module);
    } else {
      const auto options = velocity->time_weight.options().requires_grad(false);
      u = velocity->forward(z, torch::full({1}, step.r, options), torch::full({1}, step.t, options));
    }
    z = torch::sub(z, u, step.length);
    ++i;
  }
  return z;
}

// As integrate, with the lengths as tensors: they have gradients, and nothing waits for a GPU.
torch::Tensor FlowStage::integrate_learned(const torch::Tensor& z1) const {
  const auto lengths = folded_ ? step_lengths : torch::softmax(step_logits, 0);
  const auto r = 1 - lengths.cumsum(0), t = r + lengths;
  const int64_t steps_per_module = arch_.steps / arch_.modules;
  auto z = z1;
  for (int64_t i = 0; i < arch_.steps; ++i) {
    const auto& velocity = *velocities_[i / steps_per_module];
    const auto biases = folded_ ? velocity.time_bias.narrow(0, i % steps_per_module, 1)
                                : velocity.time_biases(r.narrow(0, i, 1), t.narrow(0, i, 1));
    z = z - velocity.displacement(z, biases, lengths[i]);
  }
  return z;
}

std::vector<TimeStep> FlowStage::time_steps(int64_t steps) const {
  require_steps(steps);
  std::vector<TimeStep> out;
  if (!arch_.learns_steps()) {
    const double length = 1.0 / static_cast<double>(steps);
    for (int64_t i = 0; i < steps; ++i) out.push_back({1 - (i + 1) * length, 1 - i * length, length});
    return out;
  }
  torch::NoGradGuard no_grad;
  const auto learned = (folded_ ? step_lengths : torch::softmax(step_logits, 0)).to(torch::kFloat64).cpu().contiguous();
  const int64_t own_per_module = arch_.steps / arch_.modules, per_module = steps / arch_.modules;
  double t = 1;
  for (int64_t module = 0; module < arch_.modules; ++module) {
    const auto* own = learned.data_ptr<double>() + module * own_per_module;
    const double part = std::accumulate(own, own + own_per_module, 0.0) / static_cast<double>(per_module);
    for (int64_t i = 0; i < per_module; ++i) {
      const double length = steps == arch_.steps ? own[i] : part;
      out.push_back({t - length, t, length});
      t -= length;
    }
  }
  return out;
}

std::vector<Interval> FlowStage::module_intervals() const {
  std::vector<Interval> out;
  const double n = static_cast<double>(arch_.modules);
  if (!arch_.learns_steps()) {
    for (int64_t i = 0; i < arch_.modules; ++i) out.push_back({1 - (i + 1) / n, 1 - i / n});
    return out;
  }
  const int64_t steps_per_module = arch_.steps / arch_.modules;
  const auto steps = time_steps(arch_.steps);
  for (int64_t i = 0; i < arch_.modules; ++i) {
    const auto first = static_cast<size_t>(i * steps_per_module);
    const double end = steps[first + static_cast<size_t>(steps_per_module) - 1].r;
    out.push_back({std::max(end, 0.0), steps[first].t});  // rounding: the last one may end just below 0
  }
  return out;
}

torch::Tensor FlowStage::forward(const torch::Tensor& x) { return integrate(align(x), arch_.steps); }

}  // namespace mfi
