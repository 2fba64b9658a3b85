#include "mfi/nn/blocks.h"

namespace mfi {

BlockShapes block_shapes(const BlocksArch& arch, int64_t in_channels, int64_t out_channels, int64_t stride) {
  const int64_t width = arch.width;
  BlockShapes shapes;
  if (arch.kind == BlockKind::basic)
    shapes.convs = {{in_channels, width, 3, stride}, {width, out_channels, 3, 1}};
  else
    shapes.convs = {{in_channels, width, 1, 1}, {width, width, 3, stride}, {width, out_channels, 1, 1}};
  shapes.has_shortcut = arch.shortcut == ShortcutKind::projection && (stride != 1 || in_channels != out_channels);
  shapes.shortcut = {in_channels, out_channels, 1, stride};
  return shapes;
}

ResidualBlock::ResidualBlock(const BlocksArch& arch, int64_t in_channels, int64_t out_channels, int64_t stride,
                             bool folded)
    : stride_(stride) {
  const auto shapes = block_shapes(arch, in_channels, out_channels, stride);
  for (size_t i = 0; i < shapes.convs.size(); ++i)
    convs_.push_back(
        register_module("conv" + std::to_string(i + 1), std::make_shared<ConvNorm>(shapes.convs[i], folded)));
  if (shapes.has_shortcut) shortcut_ = register_module("shortcut", std::make_shared<ConvNorm>(shapes.shortcut, folded));
  const int64_t zeros = out_channels - in_channels;
  if (arch.shortcut == ShortcutKind::padded) zeros_before_ = zeros / 2;
  zeros_behind_ = zeros - zeros_before_;
}

torch::Tensor ResidualBlock::shortcut_of(const torch::Tensor& x) const {
  if (shortcut_) return shortcut_->forward(x);
  if (stride_ == 1 && zeros_behind_ == 0) return x;
  const auto pixels = x.slice(2, 0, c10::nullopt, stride_).slice(3, 0, c10::nullopt, stride_);
  return at::constant_pad_nd(pixels, {0, 0, 0, 0, zeros_before_, zeros_behind_});
}

torch::Tensor ResidualBlock::forward(const torch::Tensor& x) const {
  auto y = x;
  for (size_t i = 0; i + 1 < convs_.size(); ++i) y = convs_[i]->forward(y, /*shortcut=*/{}, /*relu=*/true);
  return convs_.back()->forward(y, shortcut_of(x), /*relu=*/true);
}

BlocksStage::BlocksStage(const StageArch& arch, bool folded) {
  const auto& body = std::get<BlocksArch>(arch.body);
  int64_t in = arch.in_channels;
  for (int64_t i = 0; i < body.count; ++i) {
    blocks_.push_back(register_module(
        "block" + std::to_string(i),
        std::make_shared<ResidualBlock>(body, in, arch.out_channels, i == 0 ? arch.stride : 1, folded)));
    in = arch.out_channels;
  }
}

torch::Tensor BlocksStage::forward(const torch::Tensor& x) {
  auto y = x;
  for (const auto& block : blocks_) y = block->forward(y);
  return y;
}

}  // namespace mfi
