#include "mfi/ops/conv_bias.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>
#include <vector>

namespace mfi {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = std::optional<torch::Tensor>;
using OptionalScalars = c10::List<std::optional<at::Scalar>>;

std::vector<int64_t> padding_of(const torch::Tensor& weight) { return {weight.size(2) / 2, weight.size(3) / 2}; }

OptionalTensor typed(const torch::Tensor& t, torch::Dtype type) {
  return t.defined() ? OptionalTensor(t.to(type)) : std::nullopt;
}

// The operators with which LibTorch's own compiler fuses; they have no C++ header.
torch::Tensor onednn_conv(const torch::Tensor& x, const torch::Tensor& weight, const OptionalTensor& bias,
                          int64_t stride, const OptionalTensor& shortcut, bool relu) {
  using Plain =
      torch::Tensor(const torch::Tensor&, const torch::Tensor&, const OptionalTensor&, at::IntArrayRef, at::IntArrayRef,
                    at::IntArrayRef, int64_t, std::string_view, OptionalScalars, std::optional<std::string_view>);
  using Binary = torch::Tensor(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&, const OptionalTensor&,
                               at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                               std::optional<at::Scalar>, std::optional<std::string_view>, OptionalScalars,
                               std::optional<std::string_view>);
  const auto find = [](const char* overload) {
    return c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise", overload);
  };
  static const auto plain = find("").typed<Plain>();
  static const auto binary = find("binary").typed<Binary>();
  const auto padding = padding_of(weight);
  const std::vector<int64_t> strides{stride, stride}, dilation{1, 1};
  if (!shortcut)
    return plain.call(x, weight, bias, padding, strides, dilation, /*groups=*/1, relu ? "relu" : "none",
                      OptionalScalars(), std::nullopt);
  const auto then = relu ? std::optional<std::string_view>("relu") : std::nullopt;
  return binary.call(x, *shortcut, weight, bias, padding, strides, dilation, /*groups=*/1, "add", std::nullopt, then,
                     OptionalScalars(), std::nullopt);
}

class FixedConv : public torch::autograd::Function<FixedConv> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const OptionalTensor& shortcut,
                               const torch::Tensor& weight, const OptionalTensor& bias, int64_t stride, bool relu) {
    auto out = onednn_conv(x, weight, bias, stride, shortcut, relu);
    // x only tells its shape; it is kept anyway, by the operation that it is the result of.
    context->save_for_backward({x, weight, relu ? out : torch::Tensor()});
    context->saved_data["stride"] = stride;
    context->saved_data["shortcut"] = shortcut.has_value();
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &out = saved[2];
    const int64_t stride = context->saved_data["stride"].toInt();
    auto gradient = gradients[0].contiguous(torch::MemoryFormat::ChannelsLast);
    if (out.defined()) gradient = at::threshold_backward(gradient, out, 0);
    torch::Tensor x_gradient;
    if (context->needs_input_grad(0))
      x_gradient = std::get<0>(at::convolution_backward(
          gradient, x, weight, /*bias_sizes=*/at::OptionalIntArrayRef(), {stride, stride}, padding_of(weight),
          /*dilation=*/{1, 1}, /*transposed=*/false, /*output_padding=*/{0, 0}, /*groups=*/1, {true, false, false}));
    const bool shortcut_wanted = context->saved_data["shortcut"].toBool() && context->needs_input_grad(1);
    return {x_gradient, shortcut_wanted ? gradient : torch::Tensor(), {}, {}, {}, {}};
  }
};

bool wants_gradient(const torch::Tensor& t) {
  return t.defined() && t.requires_grad() && torch::GradMode::is_enabled();
}

// Of forward-mode differentiation, which oneDNN's call knows nothing of.
bool has_tangent(const torch::Tensor& t) { return t._fw_grad(/*level=*/0).defined(); }

}  // namespace

torch::Tensor conv_bias(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias, int64_t stride,
                        const torch::Tensor& shortcut, bool relu) {
  const auto type = x.scalar_type();
  const bool one_call = x.is_cpu() && (type == torch::kFloat32 || type == torch::kBFloat16) &&
                        !wants_gradient(weight) && !wants_gradient(bias) && !has_tangent(x);
  if (!one_call) return conv_bias_reference(x, weight, bias, stride, shortcut, relu);
  const auto dense =
      shortcut.defined() ? OptionalTensor(shortcut.contiguous(torch::MemoryFormat::ChannelsLast)) : std::nullopt;
  if (wants_gradient(x) || wants_gradient(shortcut))
    return FixedConv::apply(x, dense, weight.to(type), typed(bias, type), stride, relu);
  torch::NoGradGuard no_grad;
  return onednn_conv(x, weight.to(type), typed(bias, type), stride, dense, relu);
}

torch::Tensor conv_bias_reference(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                                  int64_t stride, const torch::Tensor& shortcut, bool relu) {
  const auto type = x.scalar_type();
  auto y = at::conv2d(x, weight.to(type), typed(bias, type), {stride, stride}, padding_of(weight));
  if (shortcut.defined()) y = y + shortcut;
  return relu ? at::relu(y) : y;
}

}  // namespace mfi
