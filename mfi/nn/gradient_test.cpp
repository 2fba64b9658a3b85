#include "mfi/nn/gradient_check.h"

#include "mfi/nn/network.h"

namespace mfi {
namespace {

const auto f64 = torch::TensorOptions(torch::kFloat64);

// The module's output against fixed random weights, so that every output element counts differently.
template <class Module, class Forward>
void expect_right_module_gradients(Module& module, torch::Tensor x, const Forward& forward) {
  randomise(module, 1);
  x = x.contiguous().requires_grad_(true);
  const auto weights = torch::rand_like(forward(x)).detach();
  auto leaves = named_leaves(module);
  leaves.emplace_back("x", x);
  expect_right_gradients([&] { return (forward(x) * weights).sum(); }, leaves);
}

template <class Module>
void expect_right_module_gradients(Module& module, const torch::Tensor& x) {
  expect_right_module_gradients(module, x, [&](const torch::Tensor& input) { return module.forward(input); });
}

torch::Tensor input(int64_t channels) {
  torch::manual_seed(0);
  return torch::randn({2, channels, 4, 4}, f64);
}

TEST(ConvNorm, HasRightGradientsWithTheBatchsStatistics) {
  ConvNorm module({3, 4, 3, 2}, /*folded=*/false);
  expect_right_module_gradients(module, input(3));
}

TEST(ConvNorm, HasRightGradientsWithRunningStatistics) {
  ConvNorm module({3, 4, 3, 2}, /*folded=*/false);
  module.eval();
  expect_right_module_gradients(module, input(3));
}

TEST(ConvNorm, HasRightGradientsFolded) {
  ConvNorm module({3, 4, 1, 1}, /*folded=*/true);
  expect_right_module_gradients(module, input(3));
}

TEST(BasicBlock, HasRightGradientsWithAnIdentityShortcut) {
  ResidualBlock module({BlockKind::basic, 3}, 3, 3, 1, /*folded=*/false);
  expect_right_module_gradients(module, input(3));
}

TEST(BasicBlock, HasRightGradientsWithAStridedShortcut) {
  ResidualBlock module({BlockKind::basic, 3}, 2, 3, 2, /*folded=*/false);
  expect_right_module_gradients(module, input(2));
}

TEST(BottleneckBlock, HasRightGradientsWithAnIdentityShortcut) {
  ResidualBlock module({BlockKind::bottleneck, 2}, 8, 8, 1, /*folded=*/false);
  expect_right_module_gradients(module, input(8));
}

TEST(BottleneckBlock, HasRightGradientsWithAStridedShortcut) {
  ResidualBlock module({BlockKind::bottleneck, 2}, 4, 8, 2, /*folded=*/false);
  expect_right_module_gradients(module, input(4));
}

TEST(BasicBlock, HasRightGradientsWithAPaddedShortcut) {
  for (const auto kind : {ShortcutKind::padded, ShortcutKind::padded_end}) {
    ResidualBlock module({BlockKind::basic, 5, 1, kind}, 2, 5, 2, /*folded=*/false);
    expect_right_module_gradients(module, input(2));
  }
}

TEST(Stem, HasRightGradients) {
  Arch arch;
  arch.stem_channels = 4;
  Stem module(arch);
  expect_right_module_gradients(module, input(3));
}

TEST(Head, HasRightGradients) {
  Head module(5, 3);
  expect_right_module_gradients(module, input(5));
}

TEST(VelocityNetwork, HasRightGradientsForPlaceWeightsAndTimes) {
  FlowArch arch;
  arch.hidden = 4;
  arch.depth = 2;
  VelocityNetwork module(3, arch, 0);
  auto r = torch::tensor({0.1, 0.4}, f64).requires_grad_(true), t = torch::tensor({0.7, 0.9}, f64).requires_grad_(true);
  expect_right_module_gradients(module, input(3), [&](const torch::Tensor& z) { return module.forward(z, r, t); });

  auto z = input(3);
  const auto weights = torch::rand_like(z);
  expect_right_gradients([&] { return (module.forward(z, r, t) * weights).sum(); }, {{"r", r}, {"t", t}});
}

TEST(PointwiseVelocityNetwork, HasRightGradientsWithOneTimeForAll) {
  FlowArch arch;
  arch.kind = VelocityKind::pointwise;
  arch.hidden = 4;
  VelocityNetwork module(3, arch, 0);
  const auto r = torch::tensor({0.0}, f64), t = torch::tensor({1.0}, f64);
  expect_right_module_gradients(module, input(3), [&](const torch::Tensor& z) { return module.forward(z, r, t); });
}

TEST(DepthwiseVelocityNetwork, HasRightGradients) {
  VelocityNetwork module(3, {.kind = VelocityKind::depthwise, .hidden = 4, .kernel = 5, .dilation = 2}, 0);
  const auto r = torch::tensor({0.1, 0.4}, f64), t = torch::tensor({0.7, 0.9}, f64);
  expect_right_module_gradients(module, input(3), [&](const torch::Tensor& z) { return module.forward(z, r, t); });
}

TEST(DilatedVelocityNetwork, HasRightGradients) {
  VelocityNetwork module(3, {.hidden = 4, .depth = 2, .dilation = 2}, 0);
  const auto r = torch::tensor({0.1}, f64), t = torch::tensor({0.7}, f64);
  expect_right_module_gradients(module, input(3), [&](const torch::Tensor& z) { return module.forward(z, r, t); });
}

TEST(FlowStage, HasRightGradientsBehindMeansOfPixels) {
  const FlowArch flow{.kind = VelocityKind::depthwise, .hidden = 3, .downsampling = Downsampling::average};
  FlowStage module({.in_channels = 2, .out_channels = 3, .stride = 2, .body = flow}, /*folded=*/false);
  expect_right_module_gradients(module, input(2));
}

TEST(FlowStage, HasRightGradientsThroughTwoModulesAndFourSteps) {
  FlowArch flow;
  flow.hidden = 3;
  flow.modules = 2;
  flow.steps = 4;
  StageArch arch;
  arch.in_channels = 2;
  arch.out_channels = 3;
  arch.stride = 2;
  arch.body = flow;
  FlowStage module(arch, /*folded=*/false);
  expect_right_module_gradients(module, input(2));
}

TEST(FlowStage, HasRightGradientsOfTheLengthsOfItsSteps) {
  const FlowArch flow{.hidden = 3, .modules = 2, .steps = 4, .step_lengths = StepLengths::learned};
  FlowStage module({.in_channels = 2, .out_channels = 3, .stride = 2, .body = flow}, /*folded=*/false);
  expect_right_module_gradients(module, input(2));
}

TEST(FlowStage, HasRightGradientsFolded) {
  FlowArch flow;
  flow.hidden = 3;
  flow.steps = 2;
  flow.alignment = 3;
  StageArch arch;
  arch.in_channels = 2;
  arch.out_channels = 3;
  arch.body = flow;
  FlowStage module(arch, /*folded=*/true);
  expect_right_module_gradients(module, input(2));
}

}  // namespace
}  // namespace mfi
