// The residual blocks of a ResNet stage.
#pragma once

#include <memory>
#include <vector>

#include "mfi/nn/arch.h"
#include "mfi/nn/part.h"

namespace mfi {

/// One residual unit: ReLU(F(x) + shortcut(x)), F of two (basic) or three (bottleneck) convolutions.
class ResidualBlock : public torch::nn::Module {
 public:
  ResidualBlock(const BlocksArch& arch, int64_t in_channels, int64_t out_channels, int64_t stride, bool folded);
  torch::Tensor forward(const torch::Tensor& x) const;

  /// The convolutions of F in order, registered as conv1, conv2, (conv3).
  const std::vector<std::shared_ptr<ConvNorm>>& convs() const { return convs_; }
  /// nullptr where the shortcut is the identity or padded.
  const std::shared_ptr<ConvNorm>& shortcut() const { return shortcut_; }

 private:
  torch::Tensor shortcut_of(const torch::Tensor& x) const;

  int64_t stride_;
  int64_t zeros_before_ = 0, zeros_behind_ = 0;  // channels of a padded shortcut
  std::vector<std::shared_ptr<ConvNorm>> convs_;
  std::shared_ptr<ConvNorm> shortcut_;
};

/// A stage of residual blocks, registered as block0, block1, ...
class BlocksStage : public Part {
 public:
  BlocksStage(const StageArch& arch, bool folded);
  torch::Tensor forward(const torch::Tensor& x) override;

  const std::vector<std::shared_ptr<ResidualBlock>>& blocks() const { return blocks_; }

 private:
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
};

/// Shapes of a block's convolutions, F in order and then the shortcut if it has one.
struct BlockShapes {
  std::vector<ConvShape> convs;
  bool has_shortcut = false;  // by a convolution
  ConvShape shortcut;
};
BlockShapes block_shapes(const BlocksArch& arch, int64_t in_channels, int64_t out_channels, int64_t stride);

}  // namespace mfi
