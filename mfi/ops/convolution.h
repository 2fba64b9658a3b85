// Convolutions and their gradients, each by the best kernel there is: what this folder's operations are made of.
#pragma once

#include "mfi/core/torch.h"

#include <optional>

namespace mfi {

/// Whether oneDNN takes activations of this type on this machine.
bool onednn_takes(torch::Dtype type);

/// The weight as the kernels for this convolution read it: itself for our own kernels, which round only what they make
/// of it, and of x's type for oneDNN's. To be made once where it is needed forward and backward.
torch::Tensor weight_for(const torch::Tensor& x, const torch::Tensor& weight, int64_t stride);

/// y = conv(x) + bias; then + shortcut; then ReLU, in one go where oneDNN takes the type. Dense channels-last;
/// without a graph. Pads by kernel / 2. weight and bias are of x's type or float32, shortcut is dense channels-last of
/// x's type. Without bias, shortcut and ReLU any floating type will do.
torch::Tensor conv_forward(const torch::Tensor& x, const torch::Tensor& weight,
                           const std::optional<torch::Tensor>& bias, int64_t stride,
                           const std::optional<torch::Tensor>& shortcut, bool relu);

/// Gradients of a convolution without bias; undefined where they are not wanted.
struct ConvGradients {
  torch::Tensor x;       // of x's type
  torch::Tensor weight;  // float32
};

/// y_gradient is dense channels-last of x's type; weight of that type or float32.
ConvGradients conv_gradients(const torch::Tensor& y_gradient, const torch::Tensor& x, const torch::Tensor& weight,
                             int64_t stride, bool x_wanted, bool weight_wanted);

}  // namespace mfi
