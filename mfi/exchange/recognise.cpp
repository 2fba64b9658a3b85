#include "mfi/exchange/recognise.h"

#include <algorithm>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/train/tensor_types.h"

namespace mfi {
namespace {

using Shape = std::vector<int64_t>;

[[noreturn]] void refuse(const std::string& what) { throw CheckpointError(what); }

class Recogniser {
 public:
  Recogniser(const TensorShapes& shapes, const RecogniseSettings& settings) : shapes_(shapes), settings_(settings) {}

  Arch recognise() {
    Arch arch;
    add_stem(arch);
    while (has_stage(arch.stages.size() + 1)) add_stage(arch);
    if (arch.stages.empty()) refuse("there is no stage of residual blocks (as layer1.0.conv1.weight)");
    const auto beyond = shapes_.lower_bound("stage");
    for (auto i = beyond; i != shapes_.end() && i->first.starts_with("stage"); ++i) {
      const auto stage = std::stoul(i->first.substr(std::string_view("stage").size()));
      if (stage > arch.stages.size())
        refuse(format("there is a stage %lu, but no stage %zu", stage, arch.stages.size() + 1));
    }
    add_head(arch);
    // Where nothing changes there is nothing to see, so such a stage is of the others' kind.
    const auto kind_of = [](const StageArch& stage) { return std::get<BlocksArch>(stage.body).shortcut; };
    for (auto& stage : arch.stages)
      if (stage.stride == 1 && stage.in_channels == stage.out_channels)
        std::get<BlocksArch>(stage.body).shortcut = kind_of(arch.stages.back());
    arch.name = usual_resnet_name(arch);
    if (!settings_.arch.empty()) require_arch(arch);
    try {
      arch.validate();
    } catch (const ShapeError& error) {
      refuse(error.what());
    }
    return arch;
  }

 private:
  const Shape* find(const std::string& name) const {
    const auto found = shapes_.find(name);
    return found == shapes_.end() ? nullptr : &found->second;
  }

  // A convolution's shape [out, in, kernel, kernel].
  const Shape& conv(const std::string& layer) const {
    const auto* shape = find(layer + ".conv.weight");
    if (!shape) refuse(layer + " has no convolution");
    if (shape->size() != 4 || (*shape)[2] != (*shape)[3] || std::count(shape->begin(), shape->end(), 0) != 0)
      refuse("the convolution of " + layer + " is " + shape_text(*shape) + ", expected [out, in, kernel, kernel]");
    return *shape;
  }

  void require_norm(const std::string& layer) const {
    const auto* shape = find(layer + ".norm.weight");
    if (!shape)
      refuse(layer + " has no batch norm" +
             (find(layer + ".conv.bias") ? "; it seems to be folded into the convolution already" : ""));
    const auto& weight = conv(layer);
    if (*shape != Shape{weight[0]})
      refuse(format("the batch norm of %s is %s, its convolution gives %lld channels%s", layer.c_str(),
                    shape_text(*shape).c_str(), static_cast<long long>(weight[0]),
                    *shape == Shape{weight[1]}
                        ? ": it stands before the convolution (a pre-activation ResNet), which mfi does not have"
                        : ""));
  }

  void add_stem(Arch& arch) const {
    const auto& weight = conv("stem.conv");
    require_norm("stem.conv");
    arch.stem_channels = weight[0];
    arch.in_channels = weight[1];
    if (weight[1] != 3)
      refuse(format("the stem takes images of %lld channels, expected 3: mfi reads pictures as red, green and blue",
                    static_cast<long long>(weight[1])));
    if (weight[2] != 3 && weight[2] != 7)
      refuse(format("the stem's kernel is %lldx%lld, expected 3x3 (CIFAR) or 7x7 (ImageNet)",
                    static_cast<long long>(weight[2]), static_cast<long long>(weight[2])));
    arch.stem = weight[2] == 7 ? StemKind::imagenet : StemKind::cifar;
    if (settings_.stem && *settings_.stem != arch.stem)
      refuse(format("the stem's kernel is %lldx%lld, which is not the stem asked for",
                    static_cast<long long>(weight[2]), static_cast<long long>(weight[2])));
    arch.image_size = settings_.image_size != 0 ? settings_.image_size : arch.stem == StemKind::imagenet ? 224 : 32;
  }

  static std::string block_name(size_t stage, int64_t block) {
    return format("stage%zu.block%lld", stage, static_cast<long long>(block));
  }

  bool has_stage(size_t stage) const {
    const auto prefix = format("stage%zu.", stage);
    const auto found = shapes_.lower_bound(prefix);
    return found != shapes_.end() && found->first.starts_with(prefix);
  }

  // Blocks are numbered from 0; the largest number there is, and one.
  int64_t block_count(size_t stage) const {
    const auto prefix = format("stage%zu.block", stage);
    int64_t count = 0;
    for (auto i = shapes_.lower_bound(prefix); i != shapes_.end() && i->first.starts_with(prefix); ++i)
      count = std::max<int64_t>(count, std::stoll(i->first.substr(prefix.size())) + 1);
    return count;
  }

  void add_stage(Arch& arch) const {
    const size_t number = arch.stages.size() + 1;
    const auto first = block_name(number, 0);
    StageArch stage;
    stage.in_channels = arch.stages.empty() ? arch.stem_channels : arch.stages.back().out_channels;
    stage.stride = number == 1 ? 1 : 2;
    BlocksArch blocks;
    blocks.count = block_count(number);
    blocks.kind = find(first + ".conv3.conv.weight") ? BlockKind::bottleneck : BlockKind::basic;
    blocks.width = conv(first + ".conv1")[0];
    stage.out_channels = conv(first + (blocks.kind == BlockKind::basic ? ".conv2" : ".conv3"))[0];
    const bool changes = stage.stride != 1 || stage.in_channels != stage.out_channels;
    if (find(first + ".shortcut.conv.weight")) {
      if (!changes) refuse(first + " has a shortcut with a convolution where neither stride nor channels change");
    } else if (changes) {
      blocks.shortcut = ShortcutKind::padded;
    }
    if (settings_.shortcut && changes) {
      const bool projects = blocks.shortcut == ShortcutKind::projection;
      if (projects != (*settings_.shortcut == ShortcutKind::projection))
        refuse(first + (projects ? " has a convolution in its shortcut, so it is not padded"
                                 : " has no convolution in its shortcut, so it is padded"));
      blocks.shortcut = *settings_.shortcut;
    }
    stage.body = blocks;
    for (int64_t block = 0; block < blocks.count; ++block) require_block(number, block, stage, blocks);
    arch.stages.push_back(stage);
  }

  void require_block(size_t stage_number, int64_t block, const StageArch& stage, const BlocksArch& blocks) const {
    const auto name = block_name(stage_number, block);
    const int64_t in = block == 0 ? stage.in_channels : stage.out_channels;
    const auto require = [&](const std::string& layer, const Shape& expected) {
      const auto& shape = conv(name + layer);
      if (shape[1] != expected[1] && expected[1] % shape[1] == 0 && shape[2] == 3 && shape[0] == expected[0])
        refuse(format("%s%s has %lld groups (ResNeXt), which mfi does not have", name.c_str(), layer.c_str(),
                      static_cast<long long>(expected[1] / shape[1])));
      if (shape != expected)
        refuse(name + layer + " is " + shape_text(shape) + ", expected " + shape_text(expected) +
               (block == 0 ? " as in a plain ResNet" : " after its stage's first block"));
      require_norm(name + layer);
    };
    if (blocks.kind == BlockKind::basic) {
      require(".conv1", {blocks.width, in, 3, 3});
      require(".conv2", {stage.out_channels, blocks.width, 3, 3});
    } else {
      require(".conv1", {blocks.width, in, 1, 1});
      require(".conv2", {blocks.width, blocks.width, 3, 3});
      require(".conv3", {stage.out_channels, blocks.width, 1, 1});
    }
    if (block == 0 && find(name + ".shortcut.conv.weight")) require(".shortcut", {stage.out_channels, in, 1, 1});
    if (block != 0 && find(name + ".shortcut.conv.weight"))
      refuse(name + " has a shortcut with a convolution; only a stage's first block has one");
  }

  void add_head(Arch& arch) const {
    const auto *weight = find("head.weight"), *bias = find("head.bias");
    if (!weight || !bias) refuse("there is no linear layer at the end (as fc.weight and fc.bias)");
    Shape shape = *weight;
    while (shape.size() > 2 && shape.back() == 1) shape.pop_back();  // a 1x1 convolution does the same
    if (shape.size() != 2 || shape[1] != arch.head_features())
      refuse("the last layer's weight is " + shape_text(*weight) + ", expected [classes, " +
             std::to_string(arch.head_features()) + "]");
    arch.classes = shape[0];
    if (*bias != Shape{arch.classes}) refuse("the last layer's bias is " + shape_text(*bias));
  }

  // That the network is the one that was asked for.
  void require_arch(const Arch& arch) const {
    const auto wanted = resnet_arch(settings_.arch, arch.stem_channels, arch.classes);
    const auto text = [](const Arch& a) {
      std::vector<std::string> counts;
      for (const auto& stage : a.stages) {
        const auto& blocks = std::get<BlocksArch>(stage.body);
        counts.push_back(std::to_string(blocks.count) + (blocks.kind == BlockKind::basic ? " basic" : " bottleneck"));
      }
      return join(counts, ", ");
    };
    if (text(wanted) != text(arch))
      refuse("its stages have " + text(arch) + " blocks, but " + settings_.arch + " has " + text(wanted));
  }

  const TensorShapes& shapes_;
  const RecogniseSettings& settings_;
};

}  // namespace

Arch recognise(const TensorShapes& shapes, const RecogniseSettings& settings) {
  return Recogniser(shapes, settings).recognise();
}

}  // namespace mfi
