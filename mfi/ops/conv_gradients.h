// What the backward passes of this folder's convolutions share.
#pragma once

#include "mfi/core/torch.h"

namespace mfi {

/// Gradients of a convolution without bias; undefined where they are not wanted.
struct ConvGradients {
  torch::Tensor x;       // of x's type
  torch::Tensor weight;  // float32
};

/// y_gradient and x are dense channels-last; weight is of their type. The weights' gradient is by our own kernel
/// where there is one (weight_gradient.h), all else by oneDNN.
ConvGradients conv_gradients(const torch::Tensor& y_gradient, const torch::Tensor& x, const torch::Tensor& weight,
                             int64_t stride, bool x_wanted, bool weight_wanted);

}  // namespace mfi
