#include "mfi/nn/layers.h"

#include "mfi/ops/conv_bias.h"
#include "mfi/ops/conv_norm.h"

namespace mfi {

Convolution::Convolution(const ConvShape& shape, bool with_bias) : shape_(shape) {
  weight = register_parameter("weight", torch::zeros({shape.out, shape.in / shape.groups, shape.kernel, shape.kernel})
                                            .contiguous(torch::MemoryFormat::ChannelsLast));
  if (with_bias) bias = register_parameter("bias", torch::zeros({shape.out}));
}

torch::Tensor Convolution::forward(const torch::Tensor& x, const torch::Tensor& extra_bias, bool relu) const {
  return conv_bias(x, weight, bias.defined() ? bias : extra_bias, shape_.grid(), /*shortcut=*/{}, relu, kept_);
}

BatchNorm::BatchNorm(int64_t channels) {
  weight = register_parameter("weight", torch::ones({channels}));
  bias = register_parameter("bias", torch::zeros({channels}));
  running_mean = register_buffer("running_mean", torch::zeros({channels}));
  running_var = register_buffer("running_var", torch::ones({channels}));
}

torch::Tensor BatchNorm::forward(const torch::Tensor& x) const {
  // LibTorch's CPU kernel takes float32 weights with bfloat16 activations, not with float64 ones,
  // where the tests' finite differences need everything in one type (they convert the module).
  return at::batch_norm(x, weight, bias, running_mean, running_var, is_training(), kMomentum, kEpsilon,
                        /*cudnn_enabled=*/true);
}

ConvNorm::ConvNorm(const ConvShape& shape, bool folded) {
  conv = register_module("conv", std::make_shared<Convolution>(shape, /*with_bias=*/folded));
  if (!folded) norm = register_module("norm", std::make_shared<BatchNorm>(shape.out));
}

torch::Tensor ConvNorm::forward(const torch::Tensor& x, const torch::Tensor& shortcut, bool relu) const {
  const int64_t stride = conv->shape().stride;
  if (!norm) return conv_bias(x, conv->weight, conv->bias, stride, shortcut, relu, conv->kept());
  if (norm->is_training())
    return conv_norm(x,
                     {conv->weight, norm->weight, norm->bias, norm->running_mean, norm->running_var, stride,
                      BatchNorm::kMomentum, BatchNorm::kEpsilon, batch_sums},
                     shortcut, relu);
  auto y = norm->forward(conv->forward(x));
  if (shortcut.defined()) y = y + shortcut;
  return relu ? y.relu() : y;
}

void share_batch_statistics(torch::nn::Module& module, const BatchSumsPtr& sums) {
  for (const auto& inner : module.modules(/*include_self=*/false))
    if (auto* layer = dynamic_cast<ConvNorm*>(inner.get())) layer->batch_sums = sums;
}

}  // namespace mfi
