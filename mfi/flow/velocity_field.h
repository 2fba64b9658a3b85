// A mean velocity as a function of place and times.
#pragma once

#include "mfi/core/torch.h"

#include "mfi/nn/flow_stage.h"

namespace mfi {

/// Mean velocity u(z, r, t) over path times [r, t], so that z_r = z_t - (t - r) u(z_t, r, t).
///
/// Time 1 is the aligned stage input, 0 its output. Samples must not depend on each other, and every
/// operator used must know forward-mode differentiation.
class VelocityField {
 public:
  virtual ~VelocityField() = default;

  /// z: [N, ...]; r, t: [N] of a floating type that may be wider than z's. Returns z's shape and type.
  virtual torch::Tensor operator()(const torch::Tensor& z, const torch::Tensor& r, const torch::Tensor& t) const = 0;
};

/// A velocity network as a field. Refers to the network, which must outlive it.
class NetworkField : public VelocityField {
 public:
  explicit NetworkField(const VelocityNetwork& network) : network_(network) {}

  torch::Tensor operator()(const torch::Tensor& z, const torch::Tensor& r, const torch::Tensor& t) const override {
    // Times stay in the weights' type; the network rounds only the biases that they lead to.
    const auto options = network_.time_weight.options().requires_grad(false);
    return network_.forward(z, r.to(options), t.to(options));
  }

 private:
  const VelocityNetwork& network_;
};

}  // namespace mfi
