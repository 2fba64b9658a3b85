// Convolution, batch norm, addition of a shortcut and ReLU as one operation, for training.
#pragma once

#include "mfi/core/torch.h"

#include "mfi/ops/batch_sums.h"

namespace mfi {

/// The weights of a convolution without bias and of the batch norm after it, all float32; and how they
/// are used. The convolution pads by kernel / 2.
struct ConvNormWeights {
  torch::Tensor weight;                     // [out, in, kernel, kernel], channels-last
  torch::Tensor gamma, beta;                // [out]
  torch::Tensor running_mean, running_var;  // [out], updated in place
  int64_t stride = 1;
  double momentum = 0.1, epsilon = 1e-5;
  BatchSumsPtr sums;  // where the batch is spread over processes: makes its statistics those of all; else null
};

/// y = batch_norm(conv(x)) with the batch's own statistics; then + shortcut; then ReLU.
///
/// With weights.sums the statistics are those of all processes' shares together, as if they were one batch;
/// forward and backward then add up once each over the processes. The gradients of weight, gamma and beta are
/// those through this process's share of the result: their sum over the processes is the whole.
///
/// x [N, in, H, W] and shortcut [N, out, H / stride, W / stride] (undefined: none) share one floating type,
/// which is also the result's. Updates the running statistics as torch.nn.BatchNorm2d does. Differentiable
/// once in x, weight, gamma, beta and shortcut.
///
/// On a CPU, float32 and bfloat16 activations take two passes over them forward and two backward beside
/// the convolutions, and keep nothing that is not kept anyway but the convolution's result. Everything
/// else goes through conv_norm_reference. The two differ, relative to the largest value of the result or
/// gradient in question, by at most
///   float32   2e-5  other orders of summation
///   bfloat16  4e-2  convolutions with fewer products are noisier (winograd.h); the reference rounds to bfloat16
///                   after each of its operations, this one once
/// as long as every channel's variance is well above epsilon.
torch::Tensor conv_norm(const torch::Tensor& x, const ConvNormWeights& weights, const torch::Tensor& shortcut,
                        bool relu);

/// The same by LibTorch's operators, one after the other: the definition of conv_norm.
torch::Tensor conv_norm_reference(const torch::Tensor& x, const ConvNormWeights& weights, const torch::Tensor& shortcut,
                                  bool relu);

}  // namespace mfi
