#include "mfi/exchange/recognise.h"

#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/nn/network.h"

namespace mfi {
namespace {

TensorShapes shapes_of(const Arch& arch) {
  TensorShapes shapes;
  const Network network(arch);
  for (const auto& [name, tensor] : named_tensors(network)) shapes[name] = tensor.sizes().vec();
  return shapes;
}

std::string refusal(const TensorShapes& shapes, const RecogniseSettings& settings = {}) {
  return message_of<CheckpointError>([&] { recognise(shapes, settings); });
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Recognise, KnowsEveryNamedResNetByItsShapes) {
  for (const auto& name : resnet_names())
    for (const int64_t width : {0, 4}) {
      const auto arch = resnet_arch(name, width, 7);
      const auto found = recognise(shapes_of(arch), {});
      EXPECT_EQ(first_difference(found, arch), "") << name;
      EXPECT_EQ(found.name, arch.name);
    }
}

TEST(Recognise, KnowsStemsShortcutsAndWidths) {
  auto arch = resnet_arch("resnet20", 8, 10);
  for (auto& stage : arch.stages) std::get<BlocksArch>(stage.body).shortcut = ShortcutKind::padded;
  EXPECT_EQ(first_difference(recognise(shapes_of(arch), {}), arch), "");
  RecogniseSettings behind;
  behind.shortcut = ShortcutKind::padded_end;
  EXPECT_EQ(std::get<BlocksArch>(recognise(shapes_of(arch), behind).stages[1].body).shortcut, ShortcutKind::padded_end);

  auto wide = resnet_arch("resnet50", 4, 10);
  wide.stem = StemKind::imagenet;
  wide.image_size = 224;
  for (auto& stage : wide.stages) std::get<BlocksArch>(stage.body).width *= 2;
  const auto found = recognise(shapes_of(wide), {});
  EXPECT_EQ(first_difference(found, wide), "");
  EXPECT_EQ(found.name, "wide-resnet50-w4-2");
}

TEST(Recognise, KnowsBlocksThatArePrunedInside) {
  auto arch = resnet_arch("resnet18", 8, 10);
  std::get<BlocksArch>(arch.stages[2].body).width = 11;
  const auto found = recognise(shapes_of(arch), {});
  EXPECT_EQ(first_difference(found, arch), "");
  EXPECT_EQ(found.name, "narrow-resnet18-w8");
  auto unlike = shapes_of(arch);
  unlike["stage3.block1.conv1.conv.weight"][0] = 10;
  EXPECT_HAS(refusal(unlike), "after its stage's first block");
}

TEST(Recognise, NamesWhatItDoesNotKnowByItsBlocks) {
  auto arch = resnet_arch("resnet18", 4, 10);
  std::get<BlocksArch>(arch.stages[1].body).count = 3;
  EXPECT_EQ(recognise(shapes_of(arch), {}).name, "resnet-2-3-2-2-w4");
}

TEST(Recognise, RefusesOtherNetworksSayingInWhatTheyDiffer) {
  const auto plain = shapes_of(resnet_arch("resnet50", 8, 10));
  const auto changed = [&](const std::string& name, const std::vector<int64_t>& shape) {
    auto shapes = plain;
    shapes[name] = shape;
    return refusal(shapes);
  };
  const auto without = [&](const std::string& name) {
    auto shapes = plain;
    EXPECT_EQ(shapes.erase(name), 1u) << name;
    return refusal(shapes);
  };
  EXPECT_HAS(changed("stage1.block0.conv2.conv.weight", {8, 2, 3, 3}), "4 groups (ResNeXt)");
  EXPECT_HAS(changed("stage2.block0.conv1.norm.weight", {32}), "pre-activation");
  EXPECT_HAS(changed("stem.conv.conv.weight", {8, 3, 5, 5}), "the stem's kernel is 5x5");
  EXPECT_HAS(changed("stage2.block1.conv1.conv.weight", {16, 33, 1, 1}), "[16, 33, 1, 1], expected [16, 64, 1, 1]");
  EXPECT_HAS(changed("head.weight", {10, 255}), "expected [classes, 256]");
  EXPECT_HAS(changed("stage1.block0.conv1.conv.weight", {8, 8}), "expected [out, in, kernel, kernel]");
  EXPECT_HAS(changed("stem.conv.conv.weight", {8, 1, 3, 3}), "the stem takes images of 1 channels, expected 3");
  auto nothing_told_apart = plain;
  nothing_told_apart["head.weight"] = {0, 256};
  nothing_told_apart["head.bias"] = {0};
  EXPECT_HAS(refusal(nothing_told_apart), "classes");
  EXPECT_HAS(without("stem.conv.conv.weight"), "stem.conv has no convolution");
  EXPECT_HAS(without("stage3.block1.conv2.conv.weight"), "stage3.block1.conv2 has no convolution");
  EXPECT_HAS(without("stage3.block1.conv2.norm.weight"), "has no batch norm");
  EXPECT_HAS(without("head.bias"), "no linear layer at the end");

  TensorShapes gap;
  for (const auto& [name, shape] : plain)
    if (!name.starts_with("stage2.")) gap[name] = shape;
  EXPECT_HAS(refusal(gap), "there is a stage 3, but no stage 2");
  EXPECT_HAS(refusal({{"stem.conv.conv.weight", {8, 3, 3, 3}}, {"stem.conv.norm.weight", {8}}}), "no stage");
}

TEST(Recognise, HoldsANetworkAgainstWhatIsAskedFor) {
  const auto shapes = shapes_of(resnet_arch("resnet34", 4, 10));
  RecogniseSettings settings;
  settings.arch = "resnet34";
  EXPECT_EQ(recognise(shapes, settings).name, "resnet34-w4");
  settings.arch = "resnet18";
  EXPECT_HAS(refusal(shapes, settings), "its stages have 3 basic, 4 basic, 6 basic, 3 basic blocks, but resnet18");
  settings = {};
  settings.stem = StemKind::imagenet;
  EXPECT_HAS(refusal(shapes, settings), "not the stem asked for");
  settings = {};
  settings.shortcut = ShortcutKind::padded;
  EXPECT_HAS(refusal(shapes, settings), "has a convolution in its shortcut");
}

}  // namespace
}  // namespace mfi
