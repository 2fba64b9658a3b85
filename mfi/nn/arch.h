// Every shape of a network in one plain value.
//
// Teacher, meta model, incubating network, hybrid and folded network differ in nothing but their Arch.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace mfi {

enum class StemKind {
  cifar,     // 3x3 convolution, batch norm, ReLU
  imagenet,  // 7x7 convolution of stride 2, batch norm, ReLU, 3x3 max pooling of stride 2
};

enum class BlockKind {
  basic,       // 3x3, 3x3 (He et al. 2016)
  bottleneck,  // 1x1, 3x3, 1x1; the stride sits on the 3x3
};

/// What a block's input becomes where stride or channels change.
enum class ShortcutKind {
  projection,  // a strided 1x1 convolution with batch norm (option B)
  padded,      // every stride-th pixel, between zero channels, half of them before and half behind (option A)
  padded_end,  // the same with all zero channels behind
};

/// A row of residual blocks. The first block takes the stage's stride and brings the stage's channels.
struct BlocksArch {
  BlockKind kind = BlockKind::basic;
  int64_t width = 64;  // channels inside a block; of plain basic ones the stage's
  int64_t count = 2;
  ShortcutKind shortcut = ShortcutKind::projection;
  bool operator==(const BlocksArch&) const = default;
};

enum class VelocityKind {
  bottleneck,  // 1x1 C->h, `depth` times a convolution h->h, 1x1 h->C
  pointwise,   // the same with 1x1 in the middle: the paper to the letter
  depthwise,   // the same with depthwise convolutions in the middle: each of the h channels by itself
};

/// How an alignment takes a stage's stride.
enum class Downsampling {
  stride,   // its convolution looks at every stride-th pixel
  average,  // stride x stride pixels become their mean, which its convolution then looks at
};

/// How far the steps through a flow stage go along its path.
enum class StepLengths {
  equal,
  learned,  // one parameter a step; also where one module's part of the path ends and the next one's begins
};

/// MeanFlow modules after an alignment.
struct FlowArch {
  VelocityKind kind = VelocityKind::bottleneck;
  int64_t hidden = 64;    // h
  int64_t depth = 1;      // convolutions in the middle of a velocity network, at least 1
  int64_t kernel = 3;     // of those convolutions: 3, 5 or 7; pointwise has none
  int64_t dilation = 1;   // pixels from one of their taps to the next: 1, 2 or 4; pointwise has none
  int64_t modules = 1;    // networks that share the path [0, 1] out among them, in equal parts
  int64_t steps = 1;      // steps at inference, a multiple of modules
  int64_t alignment = 1;  // kernel of the alignment convolution: 1 or 3
  Downsampling downsampling = Downsampling::stride;
  StepLengths step_lengths = StepLengths::equal;

  /// One step is the whole path: nothing to learn.
  bool learns_steps() const { return step_lengths == StepLengths::learned && steps > 1; }

  bool operator==(const FlowArch&) const = default;
};

/// One stage: everything at one resolution.
struct StageArch {
  int64_t in_channels = 64;
  int64_t out_channels = 64;
  int64_t stride = 1;
  std::variant<BlocksArch, FlowArch> body;

  bool is_flow() const { return std::holds_alternative<FlowArch>(body); }
  bool operator==(const StageArch&) const = default;
};

/// A whole network for images [N, in_channels, image_size, image_size].
struct Arch {
  std::string name;         // "resnet34"; only a label
  int64_t image_size = 32;  // height and width that cost is counted for
  int64_t in_channels = 3;
  StemKind stem = StemKind::cifar;
  int64_t stem_channels = 64;
  std::vector<StageArch> stages;
  int64_t classes = 10;
  bool folded = false;  // batch norms and time embeddings folded into the convolutions' biases

  int64_t head_features() const { return stages.empty() ? stem_channels : stages.back().out_channels; }
  bool operator==(const Arch&) const = default;

  /// Throws ShapeError when channels do not chain or a value is out of range.
  void validate() const;
};

/// A ResNet by its usual name.
///
/// resnet18, 34, 50, 101, 152: four stages of width w, 2w, 4w, 8w; resnet20, 32, 44, 56, 110: the
/// three-stage CIFAR family. width 0 means the usual one: 64, or 16 for the CIFAR family.
/// Throws RecipeError for an unknown name, naming the nearest known one.
Arch resnet_arch(const std::string& name, int64_t width, int64_t classes);

/// What a network of residual blocks is usually called: "resnet34-w16", "wide-resnet50-2", "narrow-resnet56" (basic
/// blocks with fewer channels inside); by its numbers of blocks where it has no name: "resnet-2-3-2".
std::string usual_resnet_name(const Arch& arch);

/// Names that resnet_arch knows.
const std::vector<std::string>& resnet_names();

/// A network of residual blocks with `width` channels in its stem and all others changed in proportion.
Arch with_width(Arch arch, int64_t width);

/// `arch` with stage `stage` (from 0) replaced by a flow stage of the same channels and stride.
Arch with_flow_stage(Arch arch, size_t stage, const FlowArch& flow);

/// The largest hidden width for which a flow stage stays at or under `budget` parameters; 0 if none.
int64_t hidden_for_budget(const StageArch& stage, const FlowArch& flow, int64_t budget);

/// JSON text of an Arch, and back. arch_from_json throws CheckpointError naming the field.
std::string arch_to_json(const Arch& arch);
Arch arch_from_json(const std::string& json);

/// The field in which two networks first differ, as "stages[3].hidden: 104 here, 64 there"; "" if equal.
std::string first_difference(const Arch& here, const Arch& there);

}  // namespace mfi
