// A mean velocity as a function of place and times.
#pragma once

#include "mfi/core/torch.h"

#include "mfi/nn/flow_stage.h"

namespace mfi {

/// Mean velocity u(z, r, t) over path times [r, t], so that z_r = z_t - (t - r) u(z_t, r, t).
///
/// Time 1 is the aligned stage input, 0 its output. Samples must not depend on each other.
class VelocityField {
 public:
  virtual ~VelocityField() = default;

  /// z: [N, ...]; r, t: [N] of a floating type that may be wider than z's. Returns z's shape and type.
  virtual torch::Tensor operator()(const torch::Tensor& z, const torch::Tensor& r, const torch::Tensor& t) const = 0;

  /// du/dz * v + du/dt, of z's shape and type and without gradient: the field's change along a path with
  /// velocity v. This one uses forward-mode differentiation, which every operator of the field must know.
  /// One thread at a time: LibTorch's levels of it are the process's.
  virtual torch::Tensor total_derivative(const torch::Tensor& z, const torch::Tensor& v, const torch::Tensor& r,
                                         const torch::Tensor& t) const;
};

/// A velocity network as a field. Refers to the network, which must outlive it.
class NetworkField : public VelocityField {
 public:
  explicit NetworkField(const VelocityNetwork& network) : network_(network) {}

  torch::Tensor operator()(const torch::Tensor& z, const torch::Tensor& r, const torch::Tensor& t) const override {
    return network_.forward(z, as_weights(r), as_weights(t));
  }

  /// By the network's own formula.
  torch::Tensor total_derivative(const torch::Tensor& z, const torch::Tensor& v, const torch::Tensor& r,
                                 const torch::Tensor& t) const override {
    return network_.total_derivative(z, v, as_weights(r), as_weights(t));
  }

 private:
  // Times stay in the weights' type; the network rounds only the biases that they lead to.
  torch::Tensor as_weights(const torch::Tensor& time) const {
    return time.to(network_.time_weight.options().requires_grad(false));
  }

  const VelocityNetwork& network_;
};

}  // namespace mfi
