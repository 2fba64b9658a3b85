// Small networks of every kind, with weights and statistics such that nothing cancels out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mfi/nn/network.h"

namespace mfi {

inline std::shared_ptr<Network> lively_network(const Arch& arch) {
  auto network = std::make_shared<Network>(arch);
  initialise(*network, 3);
  torch::NoGradGuard no_grad;
  torch::manual_seed(5);
  for (const auto& item : network->named_buffers())
    item.key().ends_with("running_var") ? item.value().uniform_(0.5, 2) : item.value().uniform_(-0.3, 0.3);
  for (const auto& item : network->named_parameters())
    if (item.key().find(".leave.") != std::string::npos || item.key().ends_with("step_logits"))
      item.value().normal_(0, 0.2);
  network->eval();
  return network;
}

/// Their names, and what they are.
inline std::vector<std::pair<std::string, Arch>> every_kind_of_network() {
  const auto padded = [](ShortcutKind kind) {
    auto arch = resnet_arch("resnet20", 4, 7);
    for (auto& stage : arch.stages) std::get<BlocksArch>(stage.body).shortcut = kind;
    arch.image_size = 8;
    return arch;
  };
  auto basic = resnet_arch("resnet18", 4, 7), bottleneck = resnet_arch("resnet50", 2, 7);
  basic.image_size = 8;
  bottleneck.image_size = 32;
  bottleneck.stem = StemKind::imagenet;
  auto hybrid = with_flow_stage(basic, 3, {.hidden = 6, .depth = 2, .modules = 2, .steps = 4, .alignment = 3});
  auto meta = hybrid;
  for (size_t i = 0; i < 3; ++i) meta = with_flow_stage(meta, i, {.hidden = 5});
  meta = with_flow_stage(meta, 1, {.kind = VelocityKind::pointwise, .hidden = 5, .steps = 2});
  // At odd sizes: 25, 13, 7.
  auto far = with_flow_stage(
      basic, 1,
      {.kind = VelocityKind::depthwise, .hidden = 6, .depth = 2, .kernel = 5, .downsampling = Downsampling::average});
  far.image_size = 25;
  far = with_flow_stage(far, 2, {.hidden = 5, .dilation = 2, .alignment = 3, .downsampling = Downsampling::average});
  far = with_flow_stage(far, 3,
                        {.kind = VelocityKind::depthwise,
                         .hidden = 7,
                         .kernel = 7,
                         .dilation = 4,
                         .modules = 2,
                         .steps = 4,
                         .step_lengths = StepLengths::learned});
  auto narrow = basic;
  for (size_t i = 1; i < 4; ++i) std::get<BlocksArch>(narrow.stages[i].body).width = 5;
  return {{"basic", basic},
          {"bottleneck", bottleneck},
          {"padded", padded(ShortcutKind::padded)},
          {"padded-end", padded(ShortcutKind::padded_end)},
          {"hybrid", hybrid},
          {"meta", meta},
          {"far-sighted", far},
          {"narrow", narrow}};
}

}  // namespace mfi
