// Convolutions and batch norms whose float32 weights work on activations of any floating type.
//
// Activations are [N, C, H, W], channels-last, float32 or bfloat16. Weights and statistics stay
// float32; a convolution casts its weights to the activations' type at each use, so mixed precision
// needs no autocast: the type of the first activation decides.
#pragma once

#include "mfi/core/torch.h"

#include <memory>
#include <string>

#include "mfi/ops/batch_sums.h"
#include "mfi/ops/convolution.h"

namespace mfi {

/// Shape of a square convolution; padding keeps the resolution at stride 1.
struct ConvShape {
  int64_t in = 1, out = 1, kernel = 3, stride = 1;
  int64_t dilation = 1;  // pixels from one of the kernel's taps to the next
  int64_t groups = 1;    // of channels that know nothing of each other; as many as channels: depthwise

  ConvGrid grid() const { return {stride, dilation}; }
  int64_t weights() const { return in / groups * out * kernel * kernel; }
};

class Convolution : public torch::nn::Module {
 public:
  Convolution(const ConvShape& shape, bool with_bias);

  /// y = w * x (+ bias), and then ReLU if asked for. `extra_bias`, [out] or [N, out], replaces the bias of
  /// a convolution without one.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& extra_bias = {}, bool relu = false) const;

  const ConvShape& shape() const { return shape_; }
  /// What the kernels keep of the weight while it does not learn.
  const KeptWeightsPtr& kept() const { return kept_; }

  torch::Tensor weight;  // [out, in / groups, kernel, kernel]
  torch::Tensor bias;    // [out], undefined without bias

 private:
  ConvShape shape_;
  KeptWeightsPtr kept_ = c10::make_intrusive<KeptWeights>();
};

/// Batch norm over N, H, W with momentum 0.1 and epsilon 1e-5. In training mode it uses and updates
/// the batch's statistics; in eval mode it uses the running ones.
class BatchNorm : public torch::nn::Module {
 public:
  static constexpr double kEpsilon = 1e-5;
  static constexpr double kMomentum = 0.1;

  explicit BatchNorm(int64_t channels);
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight, bias, running_mean, running_var;  // float32 [channels]
};

/// Convolution and batch norm; folded, a convolution with bias.
class ConvNorm : public torch::nn::Module {
 public:
  ConvNorm(const ConvShape& shape, bool folded);

  /// The two, then + shortcut (undefined: none), then ReLU if asked for: one operation when training
  /// (mfi/ops/conv_norm.h) and when folded (mfi/ops/conv_bias.h).
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& shortcut = {}, bool relu = false) const;

  std::shared_ptr<Convolution> conv;
  std::shared_ptr<BatchNorm> norm;  // nullptr when folded
  BatchSumsPtr batch_sums;          // see share_batch_statistics
};

/// From now on all batch norms in `module` that are in training mode use the statistics of the batch of all
/// processes (null: of this one's share, as they do from the start). Copies of the module do not.
void share_batch_statistics(torch::nn::Module& module, const BatchSumsPtr& sums);

}  // namespace mfi
