// Convolutions and their gradients, each by the best kernel there is: what this folder's operations are made of.
#pragma once

#include "mfi/core/torch.h"

#include <functional>
#include <optional>
#include <tuple>
#include <vector>

namespace mfi {

/// How a convolution lies on its input: at every stride-th pixel, its taps `dilation` pixels apart. It pads by
/// dilation * (kernel / 2), so that stride 1 keeps the size. A stride alone will do where one is asked for.
///
/// Groups of channels are not said but seen: there are as many as x has channels for each that the weight takes.
struct ConvGrid {
  int64_t stride, dilation;
  ConvGrid(int64_t stride = 1, int64_t dilation = 1) : stride(stride), dilation(dilation) {}
};

/// What the kernels have made of one layer's weight, kept from call to call while the weight stays what it is: for
/// layers that do not learn. Making it costs up to a tenth of a call. One thread at a time.
class KeptWeights : public torch::CustomClassHolder {
 public:
  /// For the weight's gradient or not, the activations' type, and which of the kernel's layouts.
  using Kind = std::tuple<bool, torch::Dtype, int64_t>;

  /// What make() returned for this kind since the weight last changed.
  torch::Tensor get(const torch::Tensor& weight, const Kind& kind, const std::function<torch::Tensor()>& make);

 private:
  torch::Tensor weight_;  // shares the memory, so that it cannot be another weight's
  int64_t version_ = -1;
  std::vector<std::pair<Kind, torch::Tensor>> made_;
};

using KeptWeightsPtr = c10::intrusive_ptr<KeptWeights>;  // null: nothing is kept

/// Whether oneDNN takes activations of this type on this machine.
bool onednn_takes(torch::Dtype type);

/// The weight as the kernels for this convolution read it: itself for our own kernels, which round only what they make
/// of it, and of x's type for oneDNN's. To be made once where it is needed forward and backward.
torch::Tensor weight_for(const torch::Tensor& x, const torch::Tensor& weight, const ConvGrid& grid);

/// y = conv(x) + bias; then + shortcut; then ReLU, in one go where oneDNN takes the type. Dense channels-last;
/// without a graph. weight and bias are of x's type or float32, shortcut is dense channels-last of
/// x's type. Without bias, shortcut and ReLU any floating type will do.
torch::Tensor conv_forward(const torch::Tensor& x, const torch::Tensor& weight,
                           const std::optional<torch::Tensor>& bias, const ConvGrid& grid,
                           const std::optional<torch::Tensor>& shortcut, bool relu, const KeptWeightsPtr& kept = {});

/// Gradients of a convolution without bias; undefined where they are not wanted.
struct ConvGradients {
  torch::Tensor x;       // of x's type
  torch::Tensor weight;  // float32
};

/// y_gradient is dense channels-last of x's type; weight of that type or float32.
ConvGradients conv_gradients(const torch::Tensor& y_gradient, const torch::Tensor& x, const torch::Tensor& weight,
                             const ConvGrid& grid, bool x_wanted, bool weight_wanted, const KeptWeightsPtr& kept = {});

}  // namespace mfi
