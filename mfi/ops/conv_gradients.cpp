#include "mfi/ops/conv_gradients.h"

#include "mfi/ops/tensor_access.h"
#include "mfi/ops/weight_gradient.h"

namespace mfi {
namespace {

Conv3x3Shape conv3x3_shape(const torch::Tensor& x, const torch::Tensor& weight, int64_t stride) {
  return {x.size(0), x.size(1), weight.size(0), x.size(2), x.size(3), stride};
}

bool has_own_weight_gradient(const torch::Tensor& x, const torch::Tensor& weight, int64_t stride) {
  return x.scalar_type() == torch::kBFloat16 && weight.size(2) == 3 && weight.size(3) == 3 &&
         has_weight_gradient_kernel(conv3x3_shape(x, weight, stride));
}

torch::Tensor own_weight_gradient(const torch::Tensor& y_gradient, const torch::Tensor& x, const torch::Tensor& weight,
                                  int64_t stride) {
  const auto dense = x.contiguous(torch::MemoryFormat::ChannelsLast);
  auto out = torch::empty(
      weight.sizes(), torch::TensorOptions().dtype(torch::kFloat32).memory_format(torch::MemoryFormat::ChannelsLast));
  weight_gradient(conv3x3_shape(x, weight, stride), data<Bf16Bits>(dense), data<Bf16Bits>(y_gradient),
                  mutable_data<float>(out));
  return out;
}

}  // namespace

ConvGradients conv_gradients(const torch::Tensor& y_gradient, const torch::Tensor& x, const torch::Tensor& weight,
                             int64_t stride, bool x_wanted, bool weight_wanted) {
  ConvGradients out;
  if (weight_wanted && has_own_weight_gradient(x, weight, stride)) {
    out.weight = own_weight_gradient(y_gradient, x, weight, stride);
    weight_wanted = false;
  }
  if (!x_wanted && !weight_wanted) return out;
  const auto [for_x, for_weight, for_bias] = at::convolution_backward(
      y_gradient, x, weight, /*bias_sizes=*/at::OptionalIntArrayRef(), {stride, stride}, padding_of(weight),
      /*dilation=*/{1, 1}, /*transposed=*/false, /*output_padding=*/{0, 0}, /*groups=*/1,
      {x_wanted, weight_wanted, false});
  out.x = for_x;
  if (weight_wanted) out.weight = for_weight.to(torch::kFloat32);
  return out;
}

}  // namespace mfi
