// Which ResNet a set of tensors is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mfi/nn/arch.h"

namespace mfi {

/// Shapes by mfi's names (foreign_names.h).
using TensorShapes = std::map<std::string, std::vector<int64_t>>;

/// What shapes cannot tell, or what a person knows better.
struct RecogniseSettings {
  std::string arch;                      // a name that resnet_arch knows; "": by the shapes
  std::optional<StemKind> stem;          // none: by its kernel, 7x7 for ImageNet
  std::optional<ShortcutKind> shortcut;  // none: projections where there are any, else padded
  int64_t image_size = 0;                // 0: 224 with an ImageNet stem, else 32
};

/// The network whose tensors have these shapes.
///
/// Stages are taken to halve the resolution, the first one aside, and bottleneck blocks to have their stride on the 3x3
/// convolution (torchvision, timm). Throws CheckpointError saying what there is and what is missing, or in what way
/// this is no plain ResNet: grouped convolutions (ResNeXt), pre-activation, gaps in the numbers.
Arch recognise(const TensorShapes& shapes, const RecogniseSettings& settings);

}  // namespace mfi
