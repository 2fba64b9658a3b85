// Residual blocks with fewer channels inside than those that they are taken from.
#pragma once

#include "mfi/nn/blocks.h"

namespace mfi {

/// What each channel between two convolutions of a block brings to what `next` makes of them: [C] float64, at least 0.
///
/// The batch norm of `conv` makes channel k a normal variable of mean b_k, its bias, and deviation |g_k|, its weight
/// (times the little that its epsilon takes away in eval mode). The ReLU's output then has the variance V_k in closed
/// form, and behind `next` with its batch norm that becomes V_k * sum (w g / deviation)^2 over the weights w that look
/// at it, of the given outputs of `next`. A channel's mean does not count: the next batch norm takes it away. No image
/// is looked at. outputs: int64, indices. Neither may be folded.
torch::Tensor channel_contributions(const ConvNorm& conv, const ConvNorm& next, const torch::Tensor& outputs);

/// Gives the blocks of `to` the weights and statistics of the first blocks of `from`. Where they have fewer channels
/// inside, they get those that bring most to the blocks' results, in their order, and the next batch norm's running
/// mean goes without what the others brought to it on average. `to` has the kind and the shapes of `from`, no more
/// blocks and no more channels inside; narrower ones may not be folded.
void copy_blocks(const BlocksStage& from, BlocksStage& to);

}  // namespace mfi
