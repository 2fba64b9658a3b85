#include "mfi/ops/convolution.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <string_view>

#include "mfi/core/text.h"
#include "mfi/ops/depthwise.h"
#include "mfi/ops/operation_scope.h"
#include "mfi/ops/tensor_access.h"
#include "mfi/ops/weight_gradient.h"
#include "mfi/ops/winograd.h"

namespace mfi {
namespace {

using OptionalTensor = std::optional<torch::Tensor>;
using OptionalScalars = c10::List<std::optional<at::Scalar>>;

torch::Tensor dense(const torch::Tensor& t) { return t.contiguous(torch::MemoryFormat::ChannelsLast); }

Conv3x3Shape conv3x3_shape(const torch::Tensor& x, const torch::Tensor& weight, int64_t stride) {
  return {x.size(0), x.size(1), weight.size(0), x.size(2), x.size(3), stride};
}

int64_t groups_of(const torch::Tensor& x, const torch::Tensor& weight) { return x.size(1) / weight.size(1); }

// As a profile shows it: "convolution (Winograd) 3x3 16 -> 32, 8x8", "... 5x5 16 -> 16, 8x8, dilation 2, 16 groups".
std::string name_of(const char* what, const torch::Tensor& x, const torch::Tensor& weight, const ConvGrid& grid) {
  const auto number = [](int64_t n) { return static_cast<long long>(n); };
  auto name = format("%s %lldx%lld %lld -> %lld, %lldx%lld", what, number(weight.size(2)), number(weight.size(3)),
                     number(x.size(1)), number(weight.size(0)), number(x.size(2)), number(x.size(3)));
  if (grid.stride != 1) name += format(" / %lld", number(grid.stride));
  if (grid.dilation != 1) name += format(", dilation %lld", number(grid.dilation));
  if (groups_of(x, weight) != 1) name += format(", %lld groups", number(groups_of(x, weight)));
  return name;
}

// What our kernels for 3x3 convolutions know: neighbouring pixels, and every channel of x for each of the result.
bool is_plain_3x3(const torch::Tensor& x, const torch::Tensor& weight, const ConvGrid& grid) {
  return weight.size(2) == 3 && weight.size(3) == 3 && grid.dilation == 1 && weight.size(1) == x.size(1);
}

bool has_direct_weight_gradient(const torch::Tensor& x, const torch::Tensor& weight, const ConvGrid& grid) {
  return x.scalar_type() == torch::kBFloat16 && is_plain_3x3(x, weight, grid) &&
         has_weight_gradient_kernel(conv3x3_shape(x, weight, grid.stride));
}

bool known_type(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16;
}

// Whether each channel is convolved by itself, in a way that our gradients know.
bool is_depthwise(const torch::Tensor& x, const torch::Tensor& weight, const ConvGrid& grid) {
  return x.is_cpu() && known_type(x) && x.size(1) > 1 && weight.size(1) == 1 && weight.size(0) == x.size(1) &&
         weight.size(2) == weight.size(3) && grid.stride == 1 && has_depthwise_weight_gradient(weight.size(2));
}

// The operators with which LibTorch's own compiler fuses; they have no C++ header.
torch::Tensor onednn_conv(const torch::Tensor& x, const torch::Tensor& weight, const OptionalTensor& bias,
                          const ConvGrid& grid, const OptionalTensor& shortcut, bool relu) {
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
  const auto padding = padding_of(weight, grid.dilation);
  const std::vector<int64_t> strides(2, grid.stride), dilation(2, grid.dilation);
  const int64_t groups = groups_of(x, weight);
  if (!shortcut)
    return plain.call(x, weight, bias, padding, strides, dilation, groups, relu ? "relu" : "none", OptionalScalars(),
                      std::nullopt);
  const auto then = relu ? std::optional<std::string_view>("relu") : std::nullopt;
  return binary.call(x, *shortcut, weight, bias, padding, strides, dilation, groups, "add", std::nullopt, then,
                     OptionalScalars(), std::nullopt);
}

// `has_kernel`: which of winograd.h's rules.
bool has_winograd(const torch::Tensor& x, const torch::Tensor& weight, const ConvGrid& grid,
                  bool (*has_kernel)(const Conv3x3Shape&, int64_t) = has_winograd_conv) {
  return x.is_cpu() && known_type(x) && is_plain_3x3(x, weight, grid) &&
         has_kernel(conv3x3_shape(x, weight, grid.stride), x.element_size());
}

// By LibTorch's operator.
torch::Tensor plain_conv(const torch::Tensor& x, const torch::Tensor& weight, const OptionalTensor& bias,
                         const ConvGrid& grid) {
  return at::conv2d(x, weight, bias, {grid.stride, grid.stride}, padding_of(weight, grid.dilation),
                    {grid.dilation, grid.dilation}, groups_of(x, weight));
}

// A kept weight, or one made for this call.
torch::Tensor keep(const KeptWeightsPtr& kept, const torch::Tensor& weight, const KeptWeights::Kind& kind,
                   const std::function<torch::Tensor()>& make) {
  return kept ? kept->get(weight, kind, make) : make();
}

torch::Tensor weight_of_type(const torch::Tensor& weight, torch::Dtype type, const KeptWeightsPtr& kept) {
  if (weight.scalar_type() == type) return weight;
  return keep(kept, weight, {false, type, /*layout=*/0}, [&] { return weight.to(type); });
}

// x [N, shape.in, H, W] to [N, shape.out, H, W]
torch::Tensor winograd(const Conv3x3Shape& shape, const torch::Tensor& x, const torch::Tensor& weight, ConvUse use,
                       const OptionalTensor& bias, const OptionalTensor& shortcut, bool relu,
                       const KeptWeightsPtr& kept) {
  const auto dense_x = dense(x);
  const auto dense_bias = bias ? bias->to(torch::kFloat32).contiguous() : torch::Tensor();
  auto y = torch::empty({shape.batch, shape.out, shape.height, shape.width},
                        x.options().memory_format(torch::MemoryFormat::ChannelsLast));
  with_element(x.scalar_type(), [&]<class T>(T) {
    const KeptWeights::Kind kind{use == ConvUse::gradient, x.scalar_type(), winograd_tile(shape, sizeof(T))};
    const auto laid_out = keep(kept, weight, kind, [&] {
      const auto dense_weight = dense(weight.to(torch::kFloat32));
      auto out = torch::empty({winograd_weight_size<T>(shape)}, torch::kInt32);
      winograd_lay_out_weight<T>(shape, data<float>(dense_weight), use, mutable_data<uint32_t>(out));
      return out;
    });
    winograd_conv<T>(shape, data<T>(dense_x), data<uint32_t>(laid_out),
                     {data<float>(dense_bias), shortcut ? data<T>(*shortcut) : nullptr, relu}, mutable_data<T>(y));
  });
  return y;
}

torch::Tensor depthwise_weight_gradient_of(const torch::Tensor& y_gradient, const torch::Tensor& x,
                                           const torch::Tensor& weight, const ConvGrid& grid) {
  const auto dense_x = dense(x);
  auto out = torch::empty(weight.sizes(), torch::kFloat32);
  const DepthwiseShape shape{x.size(0), x.size(1), x.size(2), x.size(3), weight.size(2), grid.dilation};
  with_element(x.scalar_type(), [&]<class T>(T) {
    depthwise_weight_gradient<T>(shape, data<T>(dense_x), data<T>(y_gradient), mutable_data<float>(out));
  });
  return out;
}

// Our kernels' gradient of a weight: depthwise; or of 3x3, by Winograd's filtering, or direct; undefined where none is
// for this shape.
torch::Tensor own_weight_gradient(const torch::Tensor& y_gradient, const torch::Tensor& x, const torch::Tensor& weight,
                                  const ConvGrid& grid) {
  if (is_depthwise(x, weight, grid)) return depthwise_weight_gradient_of(y_gradient, x, weight, grid);
  const bool filtered = has_winograd(x, weight, grid, has_winograd_weight_gradient);
  if (!filtered && !has_direct_weight_gradient(x, weight, grid)) return {};
  const auto dense_x = dense(x);
  const auto shape = conv3x3_shape(x, weight, grid.stride);
  auto out = torch::empty(
      weight.sizes(), torch::TensorOptions().dtype(torch::kFloat32).memory_format(torch::MemoryFormat::ChannelsLast));
  if (filtered)
    with_element(x.scalar_type(), [&]<class T>(T) {
      winograd_weight_gradient<T>(shape, data<T>(dense_x), data<T>(y_gradient), mutable_data<float>(out));
    });
  else
    weight_gradient(shape, data<Bf16Bits>(dense_x), data<Bf16Bits>(y_gradient), mutable_data<float>(out));
  return out;
}

}  // namespace

torch::Tensor KeptWeights::get(const torch::Tensor& weight, const Kind& kind,
                               const std::function<torch::Tensor()>& make) {
  const bool same = weight_.defined() && weight_.data_ptr() == weight.data_ptr() &&
                    weight_.sizes().equals(weight.sizes()) && version_ == weight._version();
  if (!same) {
    made_.clear();
    weight_ = weight.detach();
    version_ = weight._version();
  }
  for (const auto& [made_kind, made] : made_)
    if (made_kind == kind) return made;
  made_.emplace_back(kind, make());
  return made_.back().second;
}

bool onednn_takes(torch::Dtype type) {
  // In bfloat16 its convolutions want these instructions, or refuse.
  static const bool has_bfloat16 =
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return type != torch::kBFloat16 || has_bfloat16;
}

torch::Tensor weight_for(const torch::Tensor& x, const torch::Tensor& weight, const ConvGrid& grid) {
  return has_winograd(x, weight, grid) ? weight : weight.to(x.scalar_type());
}

torch::Tensor conv_forward(const torch::Tensor& x, const torch::Tensor& weight, const OptionalTensor& bias,
                           const ConvGrid& grid, const OptionalTensor& shortcut, bool relu,
                           const KeptWeightsPtr& kept) {
  const bool filtered = has_winograd(x, weight, grid);
  MFI_OPERATION(name_of(filtered ? "convolution (Winograd)" : "convolution (oneDNN)", x, weight, grid));
  if (filtered)
    return winograd(conv3x3_shape(x, weight, grid.stride), x, weight, ConvUse::forward, bias, shortcut, relu, kept);
  const auto typed_weight = weight_of_type(weight, x.scalar_type(), kept);
  // Where neither x nor the weight is recognised as channels-last (a 1x1 weight never is), it comes out as NCHW.
  if (!bias && !shortcut && !relu) return dense(plain_conv(x, typed_weight, {}, grid));
  if (shortcut && (x.size(1) == 1 || shortcut->size(1) == 1 || shortcut->size(2) * shortcut->size(3) == 1)) {
    // LibTorch's call cannot add where there is one pixel or one channel alone.
    const auto f32 = torch::kFloat32;
    const auto f32_bias = bias ? OptionalTensor(bias->to(f32)) : std::nullopt;
    const auto y = plain_conv(x.to(f32), weight.to(f32), f32_bias, grid) + shortcut->to(f32);
    return dense((relu ? y.relu() : y).to(x.scalar_type()));
  }
  const auto typed_bias = bias ? OptionalTensor(bias->to(x.scalar_type())) : std::nullopt;
  // Nor to an x that is not recognised as channels-last.
  return dense(onednn_conv(shortcut ? dense(x) : x, typed_weight, typed_bias, grid, shortcut, relu));
}

ConvGradients conv_gradients(const torch::Tensor& y_gradient, const torch::Tensor& x, const torch::Tensor& weight,
                             const ConvGrid& grid, bool x_wanted, bool weight_wanted, const KeptWeightsPtr& kept) {
  ConvGradients out;
  if (weight_wanted) {
    MFI_OPERATION(name_of("weight's gradient", x, weight, grid));
    out.weight = own_weight_gradient(y_gradient, x, weight, grid);
    weight_wanted = !out.weight.defined();
  }
  if (x_wanted && is_depthwise(x, weight, grid)) {
    // It is the same convolution with its taps turned around. oneDNN is fast at that, and slow at the gradient where
    // taps are many or apart.
    MFI_OPERATION(name_of("input's gradient (oneDNN)", x, weight, grid));
    const auto turned = weight_of_type(weight, x.scalar_type(), kept).flip({2, 3});
    out.x = dense(plain_conv(y_gradient, turned, {}, grid));
    x_wanted = false;
  }
  if (x_wanted && has_winograd(x, weight, grid)) {
    MFI_OPERATION(name_of("input's gradient (Winograd)", x, weight, grid));
    auto shape = conv3x3_shape(x, weight, grid.stride);
    std::swap(shape.in, shape.out);
    out.x = winograd(shape, y_gradient, weight, ConvUse::gradient, std::nullopt, std::nullopt, /*relu=*/false, kept);
    x_wanted = false;
  }
  if (!x_wanted && !weight_wanted) return out;
  MFI_OPERATION(name_of(weight_wanted ? "gradients (oneDNN)" : "input's gradient (oneDNN)", x, weight, grid));
  // In bfloat16 oneDNN makes the gradient of a weight from memory that nobody has written, where the image is narrower
  // than the stride.
  const bool in_float32 = weight_wanted && weight.size(3) > 1 && std::min(x.size(2), x.size(3)) < grid.stride;
  const auto type = in_float32 ? torch::kFloat32 : x.scalar_type();
  const auto [for_x, for_weight, for_bias] = at::convolution_backward(
      y_gradient.to(type), x.to(type), weight_of_type(weight, type, in_float32 ? KeptWeightsPtr() : kept),
      /*bias_sizes=*/at::OptionalIntArrayRef(), {grid.stride, grid.stride}, padding_of(weight, grid.dilation),
      {grid.dilation, grid.dilation},
      /*transposed=*/false, /*output_padding=*/{0, 0}, groups_of(x, weight), {x_wanted, weight_wanted, false});
  if (x_wanted) out.x = for_x.to(x.scalar_type());
  if (weight_wanted) out.weight = for_weight.to(torch::kFloat32);
  return out;
}

}  // namespace mfi
