#include "mfi/ops/conv_bias.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "mfi/ops/convolution.h"
#include "mfi/ops/operation_scope.h"
#include "mfi/ops/parallel.h"
#include "mfi/ops/tensor_access.h"

namespace mfi {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = std::optional<torch::Tensor>;

void save_grid(AutogradContext& context, const ConvGrid& grid) {
  context.saved_data["stride"] = grid.stride;
  context.saved_data["dilation"] = grid.dilation;
}

ConvGrid grid_of(AutogradContext& context) {
  return {context.saved_data["stride"].toInt(), context.saved_data["dilation"].toInt()};
}

class OneCallConv : public torch::autograd::Function<OneCallConv> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const OptionalTensor& shortcut,
                               const torch::Tensor& weight, const OptionalTensor& bias, const ConvGrid& grid, bool relu,
                               const KeptWeightsPtr& kept) {
    auto out = conv_forward(x, weight, bias, grid, shortcut, relu, kept);
    if (kept) context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    // x only tells its shape; it is kept anyway, by the operation that it is the result of.
    context->save_for_backward({x, weight, relu ? out : torch::Tensor()});
    save_grid(*context, grid);
    context->saved_data["shortcut"] = shortcut.has_value();
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_double_backward("conv_bias");
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &out = saved[2];
    auto gradient = gradients[0].contiguous(torch::MemoryFormat::ChannelsLast);
    if (out.defined()) gradient = at::threshold_backward(gradient, out, 0);
    const auto through_conv = conv_gradients(gradient, x, weight, grid_of(*context), context->needs_input_grad(0),
                                             /*weight_wanted=*/false, kept_of(*context));
    const bool shortcut_wanted = context->saved_data["shortcut"].toBool() && context->needs_input_grad(1);
    return {through_conv.x, shortcut_wanted ? gradient : torch::Tensor(), {}, {}, {}, {}, {}};
  }

 private:
  static KeptWeightsPtr kept_of(AutogradContext& context) {
    const auto found = context.saved_data.find("kept");
    if (found == context.saved_data.end()) return {};
    return c10::static_intrusive_pointer_cast<KeptWeights>(found->second.toCapsule());
  }
};

// y + a bias for each sample, and then ReLU if asked for, in place.
void add_sample_bias(const torch::Tensor& y, const torch::Tensor& bias, bool relu) {
  MFI_OPERATION("samples' biases, ReLU");
  const int64_t channels = y.size(1), pixels = y.size(2) * y.size(3);
  const ColumnLayout layout(pixels, channels);
  const std::vector<float> ones(static_cast<size_t>(layout.width), 1);
  const auto dense = bias.contiguous();
  with_element(y.scalar_type(), [&]<class T>(T) {
    for_each_parallel(y.size(0), [&](int64_t sample) {
      T* image = mutable_data<T>(y) + sample * layout.values;
      const auto shift = layout.repeat(data<float>(dense) + sample * channels);
      scale_shift<T>(image, nullptr, layout.values, layout.width, ones.data(), shift.data(), relu, image);
    });
  });
}

struct MaskedGradient {
  torch::Tensor gradient;  // where ReLU let values pass; what came where there was none
  torch::Tensor sums;      // float32 [N, C], over each sample's pixels
};

// One pass over the gradient that arrives; out: the result that was cut off at zero, undefined without ReLU.
MaskedGradient mask_and_sum(const torch::Tensor& gradient, const torch::Tensor& out) {
  MFI_OPERATION("gradient of bias, ReLU");
  const int64_t channels = gradient.size(1);
  const ColumnLayout layout(gradient.size(2) * gradient.size(3), channels);
  MaskedGradient result;
  if (out.defined()) result.gradient = torch::empty_like(gradient);
  result.sums = torch::empty({gradient.size(0), channels}, torch::kFloat32);
  with_element(gradient.scalar_type(), [&]<class T>(T) {
    for_each_parallel(gradient.size(0), [&](int64_t sample) {
      const int64_t begin = sample * layout.values;
      std::vector<double> sums(static_cast<size_t>(layout.width));
      mask_gradient(data<T>(gradient) + begin, at_value(data<T>(out), begin), layout.values, layout.width, sums.data(),
                    at_value(mutable_data<T>(result.gradient), begin));
      const auto by_channel = layout.add_up(sums);
      std::copy(by_channel.begin(), by_channel.end(), mutable_data<float>(result.sums) + sample * channels);
    });
  });
  if (!out.defined()) result.gradient = gradient;
  return result;
}

class ConvWithPass : public torch::autograd::Function<ConvWithPass> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               const OptionalTensor& bias, const ConvGrid& grid, bool relu) {
    const auto used_weight = weight_for(x, weight, grid);
    const bool of_samples = bias && bias->dim() == 2;
    torch::Tensor out;
    if (of_samples) {
      out = conv_forward(x, used_weight, std::nullopt, grid, std::nullopt, /*relu=*/false);
      add_sample_bias(out, *bias, relu);
    } else {
      out = conv_forward(x, used_weight, bias, grid, std::nullopt, relu);
    }
    context->save_for_backward({x, used_weight, relu ? out : torch::Tensor()});
    save_grid(*context, grid);
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["of_samples"] = of_samples;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &used_weight = saved[1], &out = saved[2];
    refuse_double_backward("conv_bias");
    const auto gradient = gradients[0].contiguous(torch::MemoryFormat::ChannelsLast);
    const bool bias_wanted = context->saved_data["bias"].toBool() && context->needs_input_grad(2);
    MaskedGradient masked{gradient, {}};
    if (out.defined() || bias_wanted) masked = mask_and_sum(gradient, out);
    torch::Tensor bias_gradient;
    if (bias_wanted) bias_gradient = context->saved_data["of_samples"].toBool() ? masked.sums : masked.sums.sum(0);
    const auto through_conv = conv_gradients(masked.gradient, x, used_weight, grid_of(*context),
                                             context->needs_input_grad(0), context->needs_input_grad(1));
    return {through_conv.x, through_conv.weight, bias_gradient, {}, {}};
  }
};

bool wants_gradient(const torch::Tensor& t) {
  return t.defined() && t.requires_grad() && torch::GradMode::is_enabled();
}

bool is_float32(const torch::Tensor& t) { return !t.defined() || t.scalar_type() == torch::kFloat32; }

}  // namespace

torch::Tensor conv_bias(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                        const ConvGrid& grid, const torch::Tensor& shortcut, bool relu, const KeptWeightsPtr& kept) {
  const bool weights_learn = wants_gradient(weight) || wants_gradient(bias);
  const bool of_samples = bias.defined() && bias.dim() == 2;
  const bool plain = has_passes(x, {weight, bias, shortcut}) && onednn_takes(x.scalar_type());
  const auto optional = [](const torch::Tensor& t) { return t.defined() ? OptionalTensor(t) : std::nullopt; };

  if (weights_learn || of_samples) {
    if (!plain || shortcut.defined() || !is_float32(weight) || !is_float32(bias) ||
        (of_samples && bias.size(0) != x.size(0)))
      return conv_bias_reference(x, weight, bias, grid, shortcut, relu);
    return ConvWithPass::apply(x, weight, optional(bias), grid, relu);
  }
  if (!plain) return conv_bias_reference(x, weight, bias, grid, shortcut, relu);
  const auto dense = optional(shortcut.defined() ? shortcut.contiguous(torch::MemoryFormat::ChannelsLast) : shortcut);
  if (wants_gradient(x) || wants_gradient(shortcut))
    return OneCallConv::apply(x, dense, weight, optional(bias), grid, relu, kept);
  torch::NoGradGuard no_grad;
  return conv_forward(x, weight, optional(bias), grid, dense, relu, kept);
}

torch::Tensor conv_bias_reference(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                                  const ConvGrid& grid, const torch::Tensor& shortcut, bool relu) {
  auto y = at::conv2d(x, weight.to(x.scalar_type()), {}, {grid.stride, grid.stride}, padding_of(weight, grid.dilation),
                      {grid.dilation, grid.dilation}, x.size(1) / weight.size(1));
  if (bias.defined()) y = y + bias.to(x.scalar_type()).unsqueeze(-1).unsqueeze(-1);
  if (shortcut.defined()) y = y + shortcut;
  return relu ? at::relu(y) : y;
}

torch::Tensor conv_relu_with_tangents(const torch::Tensor& both, const torch::Tensor& weight, const torch::Tensor& bias,
                                      const ConvGrid& grid) {
  TORCH_CHECK(
      both.size(0) % 2 == 0 && bias.dim() == 2 && bias.size(0) == both.size(0) && bias.size(1) == weight.size(0),
      "conv_relu_with_tangents: values and tangents are ", both.sizes(), ", weight ", weight.sizes(), " and bias ",
      bias.sizes(), "; expected [2 N, in, H, W], [out, in, ...] and [2 N, out]");
  if (!has_passes(both, {weight, bias}) || !onednn_takes(both.scalar_type()) || !is_float32(bias))
    return conv_relu_with_tangents_reference(both, weight, bias, grid);
  torch::NoGradGuard no_grad;
  const auto y = conv_forward(both, weight, std::nullopt, grid, std::nullopt, /*relu=*/false);
  MFI_OPERATION("samples' biases, ReLU, and tangents");
  const int64_t samples = y.size(0) / 2, channels = y.size(1);
  const ColumnLayout layout(y.size(2) * y.size(3), channels);
  const std::vector<float> ones(static_cast<size_t>(layout.width), 1);
  const auto dense = bias.contiguous();
  with_element(y.scalar_type(), [&]<class T>(T) {
    for_each_parallel(samples, [&](int64_t sample) {
      T *const value = mutable_data<T>(y) + sample * layout.values, *const tangent = value + samples * layout.values;
      const auto shift = [&](int64_t row) { return layout.repeat(data<float>(dense) + row * channels); };
      scale_shift<T>(value, nullptr, layout.values, layout.width, ones.data(), shift(sample).data(), /*relu=*/true,
                     value);
      shift_tangent<T>(tangent, value, layout.values, layout.width, shift(samples + sample).data(), tangent);
    });
  });
  return y;
}

torch::Tensor conv_relu_with_tangents_reference(const torch::Tensor& both, const torch::Tensor& weight,
                                                const torch::Tensor& bias, const ConvGrid& grid) {
  torch::NoGradGuard no_grad;
  const auto y = conv_bias_reference(both, weight, bias, grid, /*shortcut=*/{}, /*relu=*/false);
  const int64_t samples = y.size(0) / 2;
  const auto value = y.narrow(0, 0, samples), tangent = y.narrow(0, samples, samples);
  return torch::cat({value.relu(), tangent * value.gt(0)});
}

}  // namespace mfi
