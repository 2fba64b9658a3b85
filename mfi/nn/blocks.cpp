#include "mfi/nn/blocks.h"

namespace mfi {

int64_t block_out_channels(BlockKind kind, int64_t width) { return kind == BlockKind::basic ? width : 4 * width; }

BlockShapes block_shapes(BlockKind kind, int64_t in_channels, int64_t width, int64_t stride) {
  const int64_t out = block_out_channels(kind, width);
  BlockShapes shapes;
  if (kind == BlockKind::basic)
    shapes.convs = {{in_channels, width, 3, stride}, {width, width, 3, 1}};
  else
    shapes.convs = {{in_channels, width, 1, 1}, {width, width, 3, stride}, {width, out, 1, 1}};
  shapes.has_shortcut = stride != 1 || in_channels != out;
  shapes.shortcut = {in_channels, out, 1, stride};
  return shapes;
}

ResidualBlock::ResidualBlock(BlockKind kind, int64_t in_channels, int64_t width, int64_t stride, bool folded) {
  const auto shapes = block_shapes(kind, in_channels, width, stride);
  for (size_t i = 0; i < shapes.convs.size(); ++i)
    convs_.push_back(
        register_module("conv" + std::to_string(i + 1), std::make_shared<ConvNorm>(shapes.convs[i], folded)));
  if (shapes.has_shortcut) shortcut_ = register_module("shortcut", std::make_shared<ConvNorm>(shapes.shortcut, folded));
}

torch::Tensor ResidualBlock::forward(const torch::Tensor& x) const {
  auto y = x;
  for (size_t i = 0; i + 1 < convs_.size(); ++i) y = convs_[i]->forward(y, /*shortcut=*/{}, /*relu=*/true);
  return convs_.back()->forward(y, shortcut_ ? shortcut_->forward(x) : x, /*relu=*/true);
}

BlocksStage::BlocksStage(const StageArch& arch, bool folded) {
  const auto& body = std::get<BlocksArch>(arch.body);
  int64_t in = arch.in_channels;
  for (int64_t i = 0; i < body.count; ++i) {
    blocks_.push_back(
        register_module("block" + std::to_string(i),
                        std::make_shared<ResidualBlock>(body.kind, in, body.width, i == 0 ? arch.stride : 1, folded)));
    in = arch.out_channels;
  }
}

torch::Tensor BlocksStage::forward(const torch::Tensor& x) {
  auto y = x;
  for (const auto& block : blocks_) y = block->forward(y);
  return y;
}

}  // namespace mfi
