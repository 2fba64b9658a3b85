#include "mfi/nn/narrower.h"

#include <cmath>
#include <numbers>

#include "mfi/nn/network.h"

namespace mfi {
namespace {

// Mean and variance of ReLU(x), x normal as a batch norm leaves it.
struct Moments {
  torch::Tensor mean, variance;  // [C] float64
};

Moments after_relu(const BatchNorm& norm) {
  const auto mean = norm.bias.to(torch::kFloat64);
  const auto variance = norm.running_var.to(torch::kFloat64);
  // Of a channel that is constant before the norm the epsilon leaves nothing. Then, and with a weight of 0, a tiny
  // deviation spares the division by it.
  const auto kept = (variance / (variance + BatchNorm::kEpsilon)).sqrt();
  const auto deviation = (norm.weight.to(torch::kFloat64).abs() * kept).clamp_min(1e-12);
  const auto ratio = mean / deviation;
  const auto above = 0.5 * torch::erfc(-ratio / std::numbers::sqrt2);  // the probability of x > 0
  const auto density = torch::exp(-0.5 * ratio.square()) / std::sqrt(2 * std::numbers::pi);
  const auto first = mean * above + deviation * density;
  const auto second = (mean.square() + deviation.square()) * above + mean * deviation * density;
  return {first, (second - first.square()).clamp_min(0)};
}

// The channels that stay when so many may, in their order; of the next convolution these outputs stay.
torch::Tensor most_contributing(const ConvNorm& conv, const ConvNorm& next, const torch::Tensor& outputs,
                                int64_t count) {
  const auto brought = channel_contributions(conv, next, outputs);
  const auto order = torch::argsort(brought, /*stable=*/true, /*dim=*/0, /*descending=*/true);
  return std::get<0>(order.slice(0, 0, count).sort());
}

void copy_norm(const BatchNorm& from, BatchNorm& to, const torch::Tensor& channels) {
  to.weight.copy_(from.weight.index_select(0, channels));
  to.bias.copy_(from.bias.index_select(0, channels));
  to.running_mean.copy_(from.running_mean.index_select(0, channels));
  to.running_var.copy_(from.running_var.index_select(0, channels));
}

// `in` and `out`: the channels that stay. `before`: the convolution whose channels `in` are; nullptr where they are the
// block's own, which all stay.
void copy_conv(const ConvNorm& from, ConvNorm& to, const ConvNorm* before, const torch::Tensor& in,
               const torch::Tensor& out) {
  to.conv->weight.copy_(from.conv->weight.index_select(0, out).index_select(1, in));
  copy_norm(*from.norm, *to.norm, out);
  if (!before) return;
  auto dropped = after_relu(*before->norm).mean;
  dropped.index_fill_(0, in, 0);
  const auto taken = from.conv->weight.to(torch::kFloat64).sum({2, 3}).matmul(dropped);
  to.norm->running_mean.copy_((from.norm->running_mean.to(torch::kFloat64) - taken).index_select(0, out));
}

void copy_block(const ResidualBlock& from, ResidualBlock& to) {
  const auto &all = from.convs(), &kept = to.convs();
  bool narrower = false;
  for (size_t i = 0; i < all.size(); ++i)
    narrower = narrower || all[i]->conv->shape().out != kept[i]->conv->shape().out;
  if (!narrower) return copy_tensors(from, to);
  if (from.shortcut()) copy_tensors(*from.shortcut(), *to.shortcut());
  const auto everything = [&](int64_t channels) {
    return torch::arange(channels, torch::dtype(torch::kInt64).device(all[0]->conv->weight.device()));
  };
  std::vector<torch::Tensor> stays(all.size() + 1);  // what goes into each convolution, and what comes out of the last
  stays.front() = everything(all.front()->conv->shape().in);
  stays.back() = everything(all.back()->conv->shape().out);
  for (size_t i = all.size() - 1; i > 0; --i)
    stays[i] = most_contributing(*all[i - 1], *all[i], stays[i + 1], kept[i - 1]->conv->shape().out);
  for (size_t i = 0; i < all.size(); ++i)
    copy_conv(*all[i], *kept[i], i == 0 ? nullptr : all[i - 1].get(), stays[i], stays[i + 1]);
}

}  // namespace

torch::Tensor channel_contributions(const ConvNorm& conv, const ConvNorm& next, const torch::Tensor& outputs) {
  torch::NoGradGuard no_grad;
  const auto weight = next.conv->weight.to(torch::kFloat64);  // [out, C, kernel, kernel]
  const auto scale =
      next.norm->weight.to(torch::kFloat64) / (next.norm->running_var.to(torch::kFloat64) + BatchNorm::kEpsilon).sqrt();
  const auto gain = (weight * scale.reshape({-1, 1, 1, 1})).index_select(0, outputs).square().sum({0, 2, 3});
  return after_relu(*conv.norm).variance * gain;
}

void copy_blocks(const BlocksStage& from, BlocksStage& to) {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < to.blocks().size(); ++i) copy_block(*from.blocks().at(i), *to.blocks()[i]);
}

}  // namespace mfi
