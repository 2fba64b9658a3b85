#include "mfi/nn/fold.h"

namespace mfi {
namespace {

// y = gamma * (conv(x) - mean) / sqrt(var + eps) + beta, as one convolution with bias. Computed in
// float64: the result is rounded once.
void fold_into(const ConvNorm& from, ConvNorm& to) {
  const auto f64 = torch::kFloat64;
  const auto& norm = *from.norm;
  const auto scale = norm.weight.to(f64) / (norm.running_var.to(f64) + BatchNorm::kEpsilon).sqrt();
  to.conv->weight.copy_(from.conv->weight.to(f64) * scale.view({-1, 1, 1, 1}));
  to.conv->bias.copy_(norm.bias.to(f64) - norm.running_mean.to(f64) * scale);
}

void fold_into(const VelocityNetwork& from, VelocityNetwork& to, const FlowStage& stage, int64_t module) {
  for (size_t i = 0; i < from.convs().size(); ++i) {
    to.convs()[i]->weight.copy_(from.convs()[i]->weight);
    if (from.convs()[i]->bias.defined()) to.convs()[i]->bias.copy_(from.convs()[i]->bias);
  }
  const auto steps = stage.time_steps(stage.arch().steps);
  const int64_t own = to.time_bias.size(0);
  for (int64_t i = 0; i < own; ++i) {
    const auto& step = steps[static_cast<size_t>(module * own + i)];
    const auto options = from.time_weight.options();
    to.time_bias[i].copy_(from.time_biases(torch::full({1}, step.r, options), torch::full({1}, step.t, options))[0]);
  }
}

void fold_into(const BlocksStage& from, BlocksStage& to) {
  for (size_t i = 0; i < from.blocks().size(); ++i) {
    const auto &a = *from.blocks()[i], &b = *to.blocks()[i];
    for (size_t j = 0; j < a.convs().size(); ++j) fold_into(*a.convs()[j], *b.convs()[j]);
    if (a.shortcut()) fold_into(*a.shortcut(), *b.shortcut());
  }
}

}  // namespace

std::shared_ptr<Network> fold(const Network& network) {
  torch::NoGradGuard no_grad;
  if (network.arch().folded) return clone_network(network);
  Arch arch = network.arch();
  arch.folded = true;
  auto out = std::make_shared<Network>(arch);
  const auto like = network.parameters().front();
  out->to(like.device(), like.scalar_type());
  out->eval();

  const size_t head = network.part_count() - 1;
  fold_into(*dynamic_cast<const Stem&>(*network.part(0)).conv, *dynamic_cast<Stem&>(*out->part(0)).conv);
  for (size_t i = 0; i < network.stage_count(); ++i) {
    if (!arch.stages[i].is_flow()) {
      fold_into(dynamic_cast<const BlocksStage&>(*network.stage(i)), dynamic_cast<BlocksStage&>(*out->stage(i)));
      continue;
    }
    const auto& from = network.flow_stage(i);
    auto& to = out->flow_stage(i);
    fold_into(*from.alignment(), *to.alignment());
    for (int64_t m = 0; m < from.arch().modules; ++m) fold_into(*from.velocities()[m], *to.velocities()[m], from, m);
    if (to.step_lengths.defined()) to.step_lengths.copy_(torch::softmax(from.step_logits, 0));
  }
  copy_part(network, *out, head);
  return out;
}

}  // namespace mfi
