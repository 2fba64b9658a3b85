#include "mfi/exchange/foreign_names.h"

#include <gtest/gtest.h>

namespace mfi {
namespace {

TEST(ForeignNames, KnowsTheHabitsOfOthers) {
  const std::pair<const char*, const char*> names[] = {
      // torchvision, timm
      {"conv1.weight", "stem.conv.conv.weight"},
      {"bn1.running_var", "stem.conv.norm.running_var"},
      {"layer1.0.conv1.weight", "stage1.block0.conv1.conv.weight"},
      {"layer3.22.bn2.running_mean", "stage3.block22.conv2.norm.running_mean"},
      {"layer4.0.downsample.0.weight", "stage4.block0.shortcut.conv.weight"},
      {"layer4.0.downsample.1.bias", "stage4.block0.shortcut.norm.bias"},
      {"fc.bias", "head.bias"},
      // wrappers
      {"module.layer2.1.bn1.weight", "stage2.block1.conv1.norm.weight"},
      {"module._orig_mod.fc.weight", "head.weight"},
      {"model.backbone.conv1.weight", "stem.conv.conv.weight"},
      // CIFAR repositories
      {"layer2.0.shortcut.0.weight", "stage2.block0.shortcut.conv.weight"},
      {"linear.weight", "head.weight"},
      {"conv1.0.weight", "stem.conv.conv.weight"},
      {"conv1.1.weight", "stem.conv.norm.weight"},
      {"conv2_x.0.residual_function.0.weight", "stage1.block0.conv1.conv.weight"},
      {"conv5_x.2.residual_function.7.running_mean", "stage4.block2.conv3.norm.running_mean"},
      {"layer1.1.left.3.weight", "stage1.block1.conv2.conv.weight"},
      {"stage2.block1.conv1.weight", "stage2.block0.conv1.conv.weight"},
      {"stage3.block1.shortcut.bn.weight", "stage3.block0.shortcut.norm.weight"},
      {"stage_2.7.bn_b.weight", "stage2.block7.conv2.norm.weight"},
      {"conv_1_3x3.weight", "stem.conv.conv.weight"},
      {"classifier.weight", "head.weight"},
      // Hugging Face
      {"resnet.embedder.embedder.normalization.bias", "stem.conv.norm.bias"},
      {"resnet.encoder.stages.0.layers.2.layer.1.convolution.weight", "stage1.block2.conv2.conv.weight"},
      {"resnet.encoder.stages.3.layers.0.shortcut.normalization.weight", "stage4.block0.shortcut.norm.weight"},
      {"classifier.1.bias", "head.bias"},
      // others that a plain ResNet does not have
      {"layer1.0.se.fc1.weight", ""},
      {"layer2.0.downsample.2.weight", ""},
      {"conv1.3.weight", ""},
      {"features.0.weight", ""},
      {"layer1.0.residual_function.2.weight", ""},
      {"encoder.layer.0.attention.query.weight", ""},
      {"", ""}};
  for (const auto& [key, name] : names) EXPECT_EQ(own_name(key), name) << key;
}

TEST(ForeignNames, GuessesWhatElseANetworkIs) {
  EXPECT_NE(likely_variant({"layer1.0.se.fc1.weight"}).find("SE-ResNet"), std::string::npos);
  EXPECT_NE(likely_variant({"layer2.0.downsample.2.weight"}).find("ResNet-D"), std::string::npos);
  EXPECT_NE(likely_variant({"conv1.6.weight"}).find("three convolutions"), std::string::npos);
  EXPECT_NE(likely_variant({"features.3.bias"}).find("VGG"), std::string::npos);
  EXPECT_EQ(likely_variant({"what.is.this"}), "");
}

TEST(ForeignNames, TakesNoStackForALongOne) {
  const std::string key = "layer1.0." + std::string(300'000, 'x');
  EXPECT_EQ(own_name(key), "");
  EXPECT_EQ(likely_variant({key}), "");
}

TEST(ForeignNames, CountersDoNotMatter) {
  EXPECT_TRUE(is_bookkeeping("module.bn1.num_batches_tracked"));
  EXPECT_FALSE(is_bookkeeping("module.bn1.running_mean"));
}

}  // namespace
}  // namespace mfi
