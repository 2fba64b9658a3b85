// What a network is a row of: stem, stages, head.
#pragma once

#include "mfi/core/torch.h"

#include "mfi/nn/layers.h"

namespace mfi {

/// A piece of a network that maps one tensor to one tensor.
class Part : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
};

}  // namespace mfi
