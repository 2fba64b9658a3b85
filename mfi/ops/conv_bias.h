// Convolution with bias, addition of a shortcut and ReLU as one operation: a convolution whose batch norm
// has been folded, or that has none.
#pragma once

#include "mfi/core/torch.h"

#include "mfi/ops/convolution.h"

namespace mfi {

/// y = conv(x) + bias; then + shortcut; then ReLU.
///
/// x [N, in, H, W] and shortcut [N, out, H / stride, W / stride] (undefined: none) share one floating type,
/// which is also the result's. weight [out, in / groups, kernel, kernel] and bias (undefined: none) are of that type or
/// float32. bias is [out], or [N, out]: one for each sample. Differentiable once in all of them.
///
/// On a CPU, where no weight wants a gradient, this is one oneDNN call: the additions and ReLU happen on its
/// float32 sums before they are rounded. The gradient of x and of the shortcut then costs one convolution
/// and one masked copy. Where weights learn and there is no shortcut, or each sample has its bias, it is the
/// convolution and at most one pass; backward, one pass that masks and sums at once, and the convolution's
/// gradients. Everything else goes through conv_bias_reference, from which these differ as conv_norm does from
/// its reference (conv_norm.h). `kept` is the layer's; it is used where no weight wants a gradient and samples
/// share their bias.
torch::Tensor conv_bias(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                        const ConvGrid& grid, const torch::Tensor& shortcut, bool relu,
                        const KeptWeightsPtr& kept = {});

/// The same by LibTorch's operators, one after the other: the definition of conv_bias.
torch::Tensor conv_bias_reference(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                                  const ConvGrid& grid, const torch::Tensor& shortcut, bool relu);

/// A layer of values and, behind them, of the tangents along some path that belong to them; without a graph.
///
/// both: [2 N, in, H, W], the values of N samples and then their tangents. bias: float32 [2 N, out], and the bias's
/// tangents. Values become ReLU(conv(x) + bias), tangents what that makes of them: conv(x) + bias where the value is
/// above 0, else 0. In one pass behind the convolution where conv_bias has passes, else by the reference.
torch::Tensor conv_relu_with_tangents(const torch::Tensor& both, const torch::Tensor& weight, const torch::Tensor& bias,
                                      const ConvGrid& grid = {});
torch::Tensor conv_relu_with_tangents_reference(const torch::Tensor& both, const torch::Tensor& weight,
                                                const torch::Tensor& bias, const ConvGrid& grid = {});

}  // namespace mfi
