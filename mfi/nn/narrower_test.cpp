#include "mfi/nn/narrower.h"

#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/nn/fold.h"
#include "mfi/nn/network.h"

namespace mfi {
namespace {

StageArch stage_of(BlockKind kind, int64_t width, int64_t count = 2) {
  return {.in_channels = 8, .out_channels = 16, .stride = 2, .body = BlocksArch{kind, width, count}};
}

// Batch norms as after a training: no two channels alike.
void train_norms(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (const auto& part : module.modules())
    if (auto* norm = dynamic_cast<BatchNorm*>(part.get())) {
      norm->weight.uniform_(0.5, 1.5);
      norm->bias.uniform_(-1, 1);
      norm->running_mean.uniform_(-1, 1);
      norm->running_var.uniform_(0.5, 2);
    }
}

std::shared_ptr<BlocksStage> trained_stage(const StageArch& arch) {
  torch::manual_seed(1);
  auto stage = std::make_shared<BlocksStage>(arch, /*folded=*/false);
  initialise(*stage, 3);
  train_norms(*stage);
  stage->eval();
  return stage;
}

std::shared_ptr<BlocksStage> narrowed(const BlocksStage& all, const StageArch& arch) {
  auto kept = std::make_shared<BlocksStage>(arch, /*folded=*/false);
  copy_blocks(all, *kept);
  kept->eval();
  return kept;
}

// Every other channel behind these convolutions always has the same value, so the others say all: by a weight of the
// batch norm, or because the convolution has nothing for it.
void make_odd_channels_constant(const BlocksStage& stage) {
  torch::NoGradGuard no_grad;
  for (const auto& block : stage.blocks())
    for (size_t i = 0; i + 1 < block->convs().size(); ++i) {
      const auto& [conv, norm] = std::tie(block->convs()[i]->conv, block->convs()[i]->norm);
      for (int64_t channel = 1; channel < norm->weight.size(0); channel += 2) {
        if (channel % 4 == 1) {
          norm->weight[channel] = 0;
        } else {
          conv->weight[channel] = 0;
          norm->running_mean[channel] = 0;
          norm->running_var[channel] = 0;
        }
      }
    }
}

// At the edges the padding's zeros are no channel's constant.
torch::Tensor inside(const torch::Tensor& y) { return y.slice(2, 2, -2).slice(3, 2, -2); }

TEST(ChannelContributions, AreTheVarianceThatAChannelGivesTheResult) {
  const auto stage = trained_stage(stage_of(BlockKind::basic, 6, 1));
  const auto &conv = *stage->blocks()[0]->convs()[0], &next = *stage->blocks()[0]->convs()[1];
  const auto outputs = torch::tensor({0, 3, 15});
  const auto found = channel_contributions(conv, next, outputs);
  ASSERT_EQ(found.sizes(), (std::vector<int64_t>{6}));
  const auto scale = next.norm->weight / (next.norm->running_var + BatchNorm::kEpsilon).sqrt();
  for (int64_t k = 0; k < 6; ++k) {
    const auto drawn = torch::randn({400000}, torch::kFloat64) * conv.norm->weight[k] + conv.norm->bias[k];
    const auto gain =
        (next.conv->weight.select(1, k) * scale.reshape({-1, 1, 1})).index_select(0, outputs).square().sum();
    const double expected = (drawn.relu().var() * gain).item<double>();
    EXPECT_NEAR(found[k].item<double>(), expected, 0.01 * expected) << k;  // four deviations of so many draws
  }
}

class NarrowerBlocksOfKind : public testing::TestWithParam<BlockKind> {};
INSTANTIATE_TEST_SUITE_P(Kinds, NarrowerBlocksOfKind, testing::Values(BlockKind::basic, BlockKind::bottleneck));

// The sharpest thing to be said of what stays and of what is made of the rest: nothing is missing. At the edges, where
// the padding's zeros are no channel's constant, it is.
TEST_P(NarrowerBlocksOfKind, LoseNothingWhereWhatGoesIsConstant) {
  const auto all = trained_stage(stage_of(GetParam(), 8, 1));
  make_odd_channels_constant(*all);
  const auto kept = narrowed(*all, stage_of(GetParam(), 4, 1));
  const auto x = torch::randn({2, 8, 24, 24}).contiguous(torch::MemoryFormat::ChannelsLast);
  const auto expected = inside(all->forward(x)), found = inside(kept->forward(x));
  EXPECT_GT(expected.abs().mean().item<float>(), 0.1) << "a comparison of nothing";
  EXPECT_LT((found - expected).abs().max().item<float>(), 1e-4);  // float32 sums in another order
}

TEST_P(NarrowerBlocksOfKind, KeepTheirChannelsInOrder) {
  const auto all = trained_stage(stage_of(GetParam(), 8));
  make_odd_channels_constant(*all);
  const auto kept = narrowed(*all, stage_of(GetParam(), 4));
  for (size_t block = 0; block < 2; ++block) {
    const auto &source = *all->blocks()[block]->convs()[0], &target = *kept->blocks()[block]->convs()[0];
    for (int64_t k = 0; k < 4; ++k) {
      EXPECT_TRUE(torch::equal(target.conv->weight[k], source.conv->weight[2 * k])) << block << " " << k;
      EXPECT_TRUE(torch::equal(target.norm->bias[k], source.norm->bias[2 * k])) << block << " " << k;
    }
    if (block == 0) {
      EXPECT_TRUE(
          torch::equal(kept->blocks()[0]->shortcut()->conv->weight, all->blocks()[0]->shortcut()->conv->weight));
    }
  }
}

TEST_P(NarrowerBlocksOfKind, AreTheTeachersOwnAtItsWidth) {
  const auto all = trained_stage(stage_of(GetParam(), 8, 2));
  const auto kept = narrowed(*all, stage_of(GetParam(), 8, 1));
  const auto source = all->named_parameters();
  for (const auto& item : kept->named_parameters())
    EXPECT_TRUE(torch::equal(item.value(), source[item.key()])) << item.key();
  const auto statistics = all->named_buffers();
  for (const auto& item : kept->named_buffers())
    EXPECT_TRUE(torch::equal(item.value(), statistics[item.key()])) << item.key();
}

// What of the first convolution only looks at outputs of the second that go is of no use.
TEST(NarrowerBottlenecks, ChooseFromTheLastConvolutionBackwards) {
  const auto all = trained_stage(stage_of(BlockKind::bottleneck, 4, 1));
  const auto& convs = all->blocks()[0]->convs();
  {
    torch::NoGradGuard no_grad;
    convs[2]->conv->weight.slice(1, 2, 4).zero_();  // of the second convolution's outputs, 2 and 3 lead nowhere
    convs[1]->conv->weight.zero_();
    for (int64_t i = 0; i < 4; ++i) convs[1]->conv->weight[i][3 - i].fill_(i < 2 ? 0.1 : 10);
  }
  const auto kept = narrowed(*all, stage_of(BlockKind::bottleneck, 2, 1));
  EXPECT_TRUE(torch::equal(kept->blocks()[0]->convs()[0]->conv->weight, convs[0]->conv->weight.slice(0, 2, 4)));
}

TEST(NarrowerBlocks, KeepAPaddedShortcut) {
  auto arch = stage_of(BlockKind::basic, 8, 1);
  std::get<BlocksArch>(arch.body).shortcut = ShortcutKind::padded;
  const auto all = trained_stage(arch);
  make_odd_channels_constant(*all);
  std::get<BlocksArch>(arch.body).width = 4;
  const auto kept = narrowed(*all, arch);
  const auto x = torch::randn({1, 8, 24, 24}).contiguous(torch::MemoryFormat::ChannelsLast);
  EXPECT_LT((inside(all->forward(x)) - inside(kept->forward(x))).abs().max().item<float>(), 1e-4);
}

TEST(NarrowerBlocks, MayComeFromAnotherDevice) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "this LibTorch sees no CUDA device";
  const auto all = trained_stage(stage_of(BlockKind::basic, 8));
  const auto expected = narrowed(*all, stage_of(BlockKind::basic, 4))->named_buffers();
  all->to(torch::kCUDA);
  const auto found = narrowed(*all, stage_of(BlockKind::basic, 4))->named_buffers();
  for (const auto& item : found) EXPECT_TRUE(torch::allclose(item.value(), expected[item.key()])) << item.key();
}

TEST(CopyPart, NarrowsAStageOfAWholeNetwork) {
  const auto arch = resnet_arch("resnet18", 8, 10);
  auto narrow = arch;
  std::get<BlocksArch>(narrow.stages[1].body).width = 9;
  const Network from(arch);
  Network to(narrow);
  EXPECT_NO_THROW(copy_part(from, to, 2));
  Network wider(arch);
  EXPECT_THROW(copy_part(to, wider, 2), ShapeError);
  const auto folded = fold(to);
  EXPECT_THROW(copy_part(*fold(from), *folded, 2), ShapeError) << "without batch norms it is not known what to keep";
}

}  // namespace
}  // namespace mfi
