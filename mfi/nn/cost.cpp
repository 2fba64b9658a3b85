#include "mfi/nn/cost.h"

#include "mfi/nn/blocks.h"
#include "mfi/nn/flow_stage.h"
#include "mfi/nn/network.h"

namespace mfi {
namespace {

// Adds one convolution's cost. `times`: how often it runs. Returns the output size.
int64_t add_conv(Cost& cost, const ConvShape& s, int64_t size, int64_t extra_parameters, int64_t times = 1) {
  const int64_t out = (size - 1) / s.stride + 1;
  const int64_t weights = s.weights();
  cost.parameters += weights + extra_parameters;
  cost.macs += times * weights * out * out;
  cost.activations += times * s.out * out * out;
  return out;
}

// Scale and shift of a batch norm, or the bias that is left of it when folded.
int64_t norm_parameters(int64_t channels, bool folded) { return folded ? channels : 2 * channels; }

int64_t add_conv_norm(Cost& cost, const ConvShape& s, int64_t size, bool folded) {
  return add_conv(cost, s, size, norm_parameters(s.out, folded));
}

int64_t add_blocks(Cost& cost, const StageArch& stage, const BlocksArch& body, int64_t size, bool folded) {
  int64_t in = stage.in_channels;
  for (int64_t i = 0; i < body.count; ++i) {
    const auto shapes = block_shapes(body, in, stage.out_channels, i == 0 ? stage.stride : 1);
    if (shapes.has_shortcut) add_conv_norm(cost, shapes.shortcut, size, folded);
    for (const auto& conv : shapes.convs) size = add_conv_norm(cost, conv, size, folded);
    in = stage.out_channels;
  }
  return size;
}

int64_t add_flow(Cost& cost, const StageArch& stage, const FlowArch& body, int64_t size, bool folded) {
  if (pools_first(stage)) size = (size - 1) / stage.stride + 1;
  size = add_conv_norm(cost, alignment_shape(stage), size, folded);
  const int64_t steps_per_module = body.steps / body.modules;
  const int64_t biases = (body.depth + 1) * body.hidden;
  for (int64_t module = 0; module < body.modules; ++module) {
    const auto shapes = velocity_shapes(stage.out_channels, body);
    for (size_t i = 0; i < shapes.size(); ++i)
      add_conv(cost, shapes[i], size, i + 1 == shapes.size() ? shapes[i].out : 0, steps_per_module);
    // A linear layer from (r, t - r), or its result for each of the steps.
    cost.parameters += folded ? steps_per_module * biases : 3 * biases;
  }
  if (body.learns_steps()) cost.parameters += body.steps;
  return size;
}

}  // namespace

Cost stage_cost(const StageArch& stage, int64_t input_size, bool folded) {
  Cost cost;
  cost.out_channels = stage.out_channels;
  if (const auto* blocks = std::get_if<BlocksArch>(&stage.body))
    cost.out_size = add_blocks(cost, stage, *blocks, input_size, folded);
  else
    cost.out_size = add_flow(cost, stage, std::get<FlowArch>(stage.body), input_size, folded);
  return cost;
}

std::vector<Cost> part_costs(const Arch& arch) {
  std::vector<Cost> costs(1);
  int64_t size = add_conv_norm(costs[0], stem_shape(arch), arch.image_size, arch.folded);
  if (arch.stem == StemKind::imagenet) size = (size - 1) / 2 + 1;  // its pooling
  costs[0].part = "stem";
  costs[0].out_channels = arch.stem_channels;
  costs[0].out_size = size;
  for (size_t i = 0; i < arch.stages.size(); ++i) {
    costs.push_back(stage_cost(arch.stages[i], size, arch.folded));
    costs.back().part = "stage" + std::to_string(i + 1);
    size = costs.back().out_size;
  }
  Cost head;
  head.part = "head";
  head.parameters = (arch.head_features() + 1) * arch.classes;
  head.macs = arch.head_features() * arch.classes;
  head.activations = arch.classes;
  head.out_channels = arch.classes;
  head.out_size = 1;
  costs.push_back(head);
  return costs;
}

Cost total_cost(const Arch& arch) {
  Cost total;
  total.part = arch.name;
  for (const auto& cost : part_costs(arch)) {
    total.parameters += cost.parameters;
    total.macs += cost.macs;
    total.activations += cost.activations;
    total.out_channels = cost.out_channels;
    total.out_size = cost.out_size;
  }
  return total;
}

// Here and not in arch.cpp, which does without LibTorch.
int64_t hidden_for_budget(const StageArch& stage, const FlowArch& flow, int64_t budget) {
  const auto parameters = [&](int64_t hidden) {
    StageArch candidate = stage;
    FlowArch body = flow;
    body.hidden = hidden;
    candidate.body = body;
    return stage_cost(candidate, 1).parameters;
  };
  int64_t low = 0, high = 1;
  while (parameters(high) <= budget) high *= 2;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (parameters(middle) <= budget ? low : high) = middle;
  }
  return low;
}

}  // namespace mfi
