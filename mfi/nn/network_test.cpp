#include "mfi/nn/network.h"

#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "mfi/core/error.h"
#include "mfi/nn/cost.h"
#include "mfi/nn/fold.h"

namespace mfi {
namespace {

// The formula of scripts/record_resnet_logits.py: numbers in [-0.5, 0.5) by name and element number.
torch::Tensor filled(const std::string& name, at::IntArrayRef shape) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const unsigned char c : name) hash = (hash ^ c) * 0x100000001B3ull;
  auto out = torch::empty(shape, torch::kFloat64);
  auto* values = out.data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    uint32_t bits = static_cast<uint32_t>(static_cast<uint64_t>(i) * 2654435761u + static_cast<uint32_t>(hash));
    bits = (bits ^ (bits >> 15)) * 2246822519u;
    values[i] = bits / 4294967296.0 - 0.5;
  }
  return out;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void fill(Network& net) {
  torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : named_tensors(net)) {
    auto value = filled(name, tensor.sizes());
    if (ends_with(name, "running_var") || ends_with(name, "norm.weight"))
      value = 1 + value;
    else if (tensor.dim() == 4)
      value = value * std::sqrt(12.0 / static_cast<double>(tensor[0].numel()));
    tensor.copy_(value);
  }
}

class LogitsOf : public testing::TestWithParam<std::string> {};

// Recorded from PyTorch in float64, printed with 12 digits.
TEST_P(LogitsOf, AreThoseOfPyTorch) {
  torch::NoGradGuard no_grad;
  std::ifstream file(std::string(MFI_TESTDATA) + "/resnet_logits.txt");
  std::string line, name;
  std::vector<double> expected;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    words >> name;
    if (name != GetParam()) continue;
    for (double value; words >> value;) expected.push_back(value);
  }
  ASSERT_EQ(expected.size(), 20u) << "no recorded logits for " << GetParam();

  Network net(resnet_arch(GetParam(), 8, 10));
  net.to(torch::kFloat64);
  net.eval();
  fill(net);
  const auto logits = net.forward(filled("images", {2, 3, 32, 32})).flatten();
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_NEAR(logits[i].item<double>(), expected[i], 1e-9 * std::max(1.0, std::abs(expected[i]))) << "logit " << i;
}

INSTANTIATE_TEST_SUITE_P(EveryResNet, LogitsOf, testing::ValuesIn(resnet_names()));

// Multiply-accumulates of the convolutions and linear layers that run while this lives.
thread_local int64_t counted_macs = 0;

class MacCounter {
 public:
  MacCounter() {
    counted_macs = 0;
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback([](const at::RecordFunction& fn) -> std::unique_ptr<at::ObserverContext> {
          const std::string name = fn.name();
          if (name != "aten::convolution" && name != "aten::linear") return nullptr;
          const auto inputs = fn.inputs();
          const auto x = inputs[0].toTensor(), weight = inputs[1].toTensor();
          if (name == "aten::linear") {
            counted_macs += x.size(0) * weight.numel();
          } else {
            const auto stride = inputs[3].toIntVector()[0];
            const int64_t out = (x.size(2) - 1) / stride + 1;
            counted_macs += x.size(0) * weight.numel() * out * out;
          }
          return nullptr;
        })
            .needsInputs(true)
            .scopes({at::RecordScope::FUNCTION}));
  }
  ~MacCounter() { at::removeCallback(handle_); }

 private:
  at::CallbackHandle handle_;
};

FlowArch flow_arch(VelocityKind kind, int64_t hidden, int64_t depth, int64_t modules, int64_t steps,
                   int64_t alignment) {
  FlowArch flow;
  flow.kind = kind;
  flow.hidden = hidden;
  flow.depth = depth;
  flow.modules = modules;
  flow.steps = steps;
  flow.alignment = alignment;
  return flow;
}

Arch flows_arch() {
  auto flows = resnet_arch("resnet34", 8, 7);
  flows = with_flow_stage(flows, 0, flow_arch(VelocityKind::bottleneck, 5, 1, 1, 1, 1));
  flows = with_flow_stage(flows, 1, flow_arch(VelocityKind::pointwise, 7, 2, 1, 3, 3));
  return with_flow_stage(flows, 3, flow_arch(VelocityKind::bottleneck, 9, 3, 2, 4, 1));
}

// Velocity networks that see far, and alignments that look at means.
Arch far_sighted_arch() {
  auto far = resnet_arch("resnet18", 8, 7);
  far = with_flow_stage(far, 0, {.kind = VelocityKind::bottleneck, .hidden = 5, .dilation = 2});
  far = with_flow_stage(
      far, 1,
      {.kind = VelocityKind::depthwise, .hidden = 6, .depth = 2, .kernel = 5, .downsampling = Downsampling::average});
  far = with_flow_stage(far, 2,
                        {.kind = VelocityKind::depthwise,
                         .hidden = 7,
                         .kernel = 7,
                         .dilation = 4,
                         .modules = 2,
                         .steps = 4,
                         .step_lengths = StepLengths::learned});
  return with_flow_stage(far, 3, {.hidden = 9, .kernel = 5, .alignment = 3, .downsampling = Downsampling::average});
}

std::vector<Arch> varied_archs() {
  std::vector<Arch> out;
  for (const auto& name : {"resnet20", "resnet18", "resnet50"}) out.push_back(resnet_arch(name, 8, 10));
  out.push_back(flows_arch());
  out.push_back(far_sighted_arch());
  return out;
}

TEST(Cost, CountsTheParametersOfTheBuiltNetwork) {
  for (auto arch : varied_archs())
    for (const bool folded : {false, true}) {
      arch.folded = folded;
      const Network net(arch);
      const auto costs = part_costs(arch);
      for (size_t i = 0; i < net.part_count(); ++i) {
        int64_t parameters = 0;
        for (const auto& p : net.part(i)->parameters()) parameters += p.numel();
        EXPECT_EQ(costs[i].parameters, parameters) << arch.name << " " << costs[i].part << (folded ? " folded" : "");
      }
    }
}

TEST(Cost, CountsTheMacsThatRun) {
  torch::NoGradGuard no_grad;
  for (const auto& arch : varied_archs()) {
    // Folded, so that no time embedding runs: inference has none.
    const auto folded = fold(Network(arch));
    folded->to(torch::kFloat64);  // where layers run as LibTorch's own operators, which can be watched
    const MacCounter counter;
    folded->forward(torch::zeros({1, 3, 32, 32}, torch::kFloat64));
    EXPECT_EQ(counted_macs, total_cost(arch).macs) << arch.name;
  }
}

// Weights and statistics as after some training, so that folding has something to do.
std::shared_ptr<Network> lively_network(const Arch& arch) {
  torch::manual_seed(1);
  torch::NoGradGuard no_grad;
  auto net = std::make_shared<Network>(arch);
  initialise(*net, 1);
  for (auto& [name, tensor] : named_tensors(*net)) {
    if (ends_with(name, "running_var") || ends_with(name, "norm.weight")) tensor.uniform_(0.5, 1.5);
    if (ends_with(name, "running_mean") || ends_with(name, "bias")) tensor.normal_(0, 0.2);
    if (name.find(".leave.weight") != std::string::npos) tensor.normal_(0, 0.1);
    if (ends_with(name, "step_logits")) tensor.normal_(0, 0.5);
  }
  net->eval();
  return net;
}

// The bound stated in fold.h.
TEST(Fold, ChangesNoLogitByMoreThanTheStatedBound) {
  torch::NoGradGuard no_grad;
  for (const auto& arch : varied_archs()) {
    const auto net = lively_network(arch);
    const auto x = torch::randn({3, 3, 32, 32});
    const auto expected = net->forward(x), actual = fold(*net)->forward(x);
    EXPECT_LT((actual - expected).abs().max().item<double>(), 1e-4 * expected.abs().max().item<double>()) << arch.name;
  }
}

TEST(Fold, LeavesTheSourceAsItWas) {
  const auto net = lively_network(varied_archs().back());
  std::vector<torch::Tensor> before;
  for (const auto& [name, tensor] : named_tensors(*net)) before.push_back(tensor.clone());
  fold(*net);
  size_t i = 0;
  for (const auto& [name, tensor] : named_tensors(*net)) EXPECT_TRUE(torch::equal(tensor, before[i++])) << name;
}

TEST(Network, GivesTheSameLogitsInEveryMemoryFormat) {
  torch::NoGradGuard no_grad;
  const auto net = lively_network(varied_archs().back());
  const auto x = torch::randn({2, 3, 32, 32});
  const auto a = net->forward(x), b = net->forward(x.contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_LT((a - b).abs().max().item<double>(), 1e-4 * a.abs().max().item<double>());
}

TEST(FlowStage, HandsOnItsAlignedInputBeforeTraining) {
  torch::NoGradGuard no_grad;
  Network net(varied_archs().back());
  initialise(net, 3);
  net.eval();
  auto& stage = net.flow_stage(3);
  const auto x = torch::randn({2, 32, 8, 8});
  EXPECT_TRUE(torch::equal(stage.forward(x), stage.align(x)));
}

// ---- Velocity networks that see far ----

torch::Tensor plain_conv(const torch::Tensor& x, const torch::Tensor& weight, int64_t stride = 1, int64_t dilation = 1,
                         int64_t groups = 1) {
  const int64_t padding = dilation * (weight.size(2) / 2);
  return at::conv2d(x, weight, {}, {stride, stride}, {padding, padding}, {dilation, dilation}, groups);
}

struct Middle {
  VelocityKind kind;
  int64_t kernel, dilation, depth, reach;  // reach: pixels in each direction
};

std::ostream& operator<<(std::ostream& out, const Middle& m) {
  return out << "kind " << static_cast<int>(m.kind) << ", kernel " << m.kernel << ", dilation " << m.dilation
             << ", depth " << m.depth;
}

class MiddleOf : public testing::TestWithParam<Middle> {
 protected:
  FlowArch arch() const {
    FlowArch flow;
    flow.kind = GetParam().kind;
    flow.hidden = 6;
    flow.depth = GetParam().depth;
    flow.kernel = GetParam().kernel;
    flow.dilation = GetParam().dilation;
    return flow;
  }
};

// 1x1, middle, 1x1 with the biases of one time, by LibTorch's operators. float32 rounds at 6e-8; the largest sum is
// over 150 products.
TEST_P(MiddleOf, AVelocityNetworkIsWhatItIsSaidToBe) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  VelocityNetwork net(4, arch(), 0);
  for (auto& p : net.parameters()) p.normal_();
  const bool pointwise = GetParam().kind == VelocityKind::pointwise;
  const int64_t dilation = pointwise ? 1 : GetParam().dilation;
  const int64_t groups = GetParam().kind == VelocityKind::depthwise ? 6 : 1;
  const auto weight = [&](const std::string& name) { return net.named_parameters()[name + ".weight"]; };
  const std::vector<int64_t> middle{6, 6 / groups, pointwise ? 1 : GetParam().kernel,
                                    pointwise ? 1 : GetParam().kernel};
  ASSERT_EQ(weight("middle0").sizes(), middle);

  const auto z = torch::randn({3, 4, 9, 8}), r = torch::rand({3}), t = torch::rand({3});
  const auto biases = at::linear(torch::stack({r, t - r}, 1), net.time_weight, net.time_bias).view({3, -1, 6, 1, 1});
  auto y = (plain_conv(z, weight("enter")) + biases.select(1, 0)).relu();
  for (int64_t i = 0; i < GetParam().depth; ++i)
    y = (plain_conv(y, weight("middle" + std::to_string(i)), 1, dilation, groups) + biases.select(1, i + 1)).relu();
  y = plain_conv(y, weight("leave")) + net.named_parameters()["leave.bias"].view({1, -1, 1, 1});

  EXPECT_TRUE(torch::allclose(net.forward(z, r, t), y, 1e-4, 1e-4 * y.abs().max().item<double>()));
}

TEST_P(MiddleOf, APixelIsSeenAsFarAsItReachesAndNoFarther) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  VelocityNetwork net(4, arch(), 0);
  // Positive throughout, so that no ReLU and no cancellation hides an influence.
  net.to(torch::kFloat64);
  for (auto& p : net.parameters()) p.uniform_(0.1, 1);
  const int64_t size = 33, centre = 16, reach = GetParam().reach;
  auto z = torch::zeros({1, 4, size, size}, torch::kFloat64);
  const auto r = torch::zeros({1}, torch::kFloat64), t = torch::ones({1}, torch::kFloat64);
  const auto before = net.forward(z, r, t);
  z.select(2, centre).select(2, centre).fill_(1);
  const auto touched = (net.forward(z, r, t) - before).abs().amax({0, 1}).gt(0);
  const auto rows = touched.any(1).nonzero(), columns = touched.any(0).nonzero();
  EXPECT_EQ(rows.min().item<int64_t>(), centre - reach);
  EXPECT_EQ(rows.max().item<int64_t>(), centre + reach);
  EXPECT_EQ(columns.min().item<int64_t>(), centre - reach);
  EXPECT_EQ(columns.max().item<int64_t>(), centre + reach);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, MiddleOf,
    testing::Values(Middle{VelocityKind::pointwise, 7, 4, 2, 0}, Middle{VelocityKind::bottleneck, 3, 1, 1, 1},
                    Middle{VelocityKind::bottleneck, 3, 1, 3, 3}, Middle{VelocityKind::bottleneck, 3, 4, 1, 4},
                    Middle{VelocityKind::bottleneck, 5, 1, 2, 4}, Middle{VelocityKind::depthwise, 3, 1, 1, 1},
                    Middle{VelocityKind::depthwise, 5, 2, 1, 4}, Middle{VelocityKind::depthwise, 7, 2, 2, 12}));

// Odd sizes end in means of the pixels that are left.
TEST(FlowStage, AlignsMeansOfPixelsWhereItDownsamplesByAverage) {
  torch::NoGradGuard no_grad;
  for (const int64_t kernel : {1, 3}) {
    FlowArch flow;
    flow.alignment = kernel;
    flow.downsampling = Downsampling::average;
    FlowStage stage({.in_channels = 3, .out_channels = 5, .stride = 2, .body = flow}, /*folded=*/true);
    auto& conv = *stage.alignment()->conv;
    torch::manual_seed(1);
    conv.weight.normal_();
    const auto x = torch::randn({2, 3, 7, 6});
    auto means = torch::empty({2, 3, 4, 3});
    for (int64_t row = 0; row < 4; ++row)
      for (int64_t column = 0; column < 3; ++column)
        means.select(2, row).select(2, column).copy_(
            x.slice(2, 2 * row, 2 * row + 2).slice(3, 2 * column, 2 * column + 2).mean({2, 3}));
    EXPECT_TRUE(torch::allclose(stage.align(x), plain_conv(means, conv.weight).relu(), 1e-5, 1e-5)) << kernel;
  }
}

TEST(FlowStage, HasNothingToDownsampleAtStrideOne) {
  FlowArch flow;
  flow.downsampling = Downsampling::average;
  const StageArch stage{.in_channels = 3, .out_channels = 5, .stride = 1, .body = flow};
  EXPECT_FALSE(pools_first(stage));
  EXPECT_EQ(FlowStage(stage, false).align(torch::randn({1, 3, 5, 5})).size(2), 5);
}

// He: the spread of a result's gradient does not depend on how many channels share a tap.
TEST(Initialise, SpreadsDepthwiseWeightsByTheirOwnFan) {
  Network net(with_flow_stage(resnet_arch("resnet18", 8, 10), 3,
                              {.kind = VelocityKind::depthwise, .hidden = 400, .kernel = 5}));
  initialise(net, 1);
  const auto& weight = net.flow_stage(3).velocities()[0]->convs()[1]->weight;
  // 10,000 values: the standard deviation is known to 1 %.
  EXPECT_NEAR(weight.std().item<double>(), std::sqrt(2.0 / 25), 0.05 * std::sqrt(2.0 / 25));
}

TEST(FlowStage, SharesThePathOutAmongItsModules) {
  const Network net(flows_arch());
  const auto& stage = net.flow_stage(3);
  const auto intervals = stage.module_intervals();
  EXPECT_EQ(intervals[0].t, 1);
  EXPECT_EQ(intervals[0].r, 0.5);
  EXPECT_EQ(intervals[1].t, 0.5);
  EXPECT_EQ(intervals[1].r, 0);
  EXPECT_THROW(stage.integrate(torch::zeros({1, 64, 4, 4}), 3), ShapeError);
}

// Half the path in the first step, then a quarter and two eighths.
FlowStage stage_of_learned_steps(int64_t modules) {
  FlowArch flow{.hidden = 3, .modules = modules, .steps = 4, .step_lengths = StepLengths::learned};
  FlowStage stage({.in_channels = 3, .out_channels = 3, .stride = 1, .body = flow}, /*folded=*/false);
  initialise(stage, 1);
  torch::NoGradGuard no_grad;
  stage.step_logits.copy_(torch::tensor({4.0, 2.0, 1.0, 1.0}).log());
  for (const auto& velocity : stage.velocities()) velocity->convs().back()->weight.normal_(0, 0.3);
  return stage;
}

TEST(LearnedSteps, AreEquallyLongBeforeTraining) {
  FlowArch flow{.hidden = 3, .steps = 4, .step_lengths = StepLengths::learned};
  FlowStage stage({.in_channels = 3, .out_channels = 3, .stride = 1, .body = flow}, /*folded=*/false);
  initialise(stage, 1);
  for (const auto& step : stage.time_steps(4)) EXPECT_DOUBLE_EQ(step.length, 0.25);
  flow.step_lengths = StepLengths::equal;
  FlowStage plain({.in_channels = 3, .out_channels = 3, .stride = 1, .body = flow}, /*folded=*/false);
  EXPECT_FALSE(plain.step_logits.defined());
  initialise(plain, 1);
  torch::NoGradGuard no_grad;
  for (auto* each : {&stage, &plain}) {
    torch::manual_seed(2);
    each->velocities()[0]->convs().back()->weight.normal_(0, 0.3);
  }
  const auto x = torch::randn({2, 3, 5, 5});
  EXPECT_TRUE(torch::allclose(stage.forward(x), plain.forward(x), 1e-6, 1e-6));
}

TEST(LearnedSteps, GoFromTimeToTimeAndShareThePathOutAmongTheModules) {
  const auto stage = stage_of_learned_steps(2);
  const std::vector<double> times{1, 0.5, 0.25, 0.125, 0}, in_two{1, 0.25, 0};
  for (const auto& expected : {times, in_two}) {
    const auto steps = stage.time_steps(static_cast<int64_t>(expected.size()) - 1);
    for (size_t i = 0; i + 1 < expected.size(); ++i) {
      EXPECT_NEAR(steps[i].t, expected[i], 1e-6);
      EXPECT_NEAR(steps[i].r, expected[i + 1], 1e-6);
      EXPECT_NEAR(steps[i].length, expected[i] - expected[i + 1], 1e-6);
    }
  }
  EXPECT_NEAR(stage.time_steps(8)[2].length, 0.1875, 1e-6);  // a quarter of the first module's 0.75
  const auto intervals = stage.module_intervals();
  EXPECT_EQ(intervals[0].t, 1);
  EXPECT_NEAR(intervals[0].r, 0.25, 1e-6);
  EXPECT_NEAR(intervals[1].t, 0.25, 1e-6);
  EXPECT_GE(intervals[1].r, 0);
  EXPECT_NEAR(intervals[1].r, 0, 1e-6);
  EXPECT_THROW(stage.time_steps(3), ShapeError);
}

TEST(LearnedSteps, AreWhatTheStageTakes) {
  torch::NoGradGuard no_grad;
  const auto stage = stage_of_learned_steps(1);
  const auto z1 = torch::rand({2, 3, 5, 5});
  const auto time = [](double t) { return torch::full({1}, t); };
  auto z = z1;
  for (const auto& [t, r] : {std::pair{1.0, 0.5}, std::pair{0.5, 0.25}, std::pair{0.25, 0.125}, std::pair{0.125, 0.0}})
    z = z - (t - r) * stage.velocities()[0]->forward(z, time(r), time(t));
  EXPECT_TRUE(torch::allclose(stage.integrate(z1, 4), z, 1e-5, 1e-5));
  EXPECT_TRUE(
      torch::allclose(stage.integrate(z1, 1), z1 - stage.velocities()[0]->forward(z1, time(0), time(1)), 1e-5, 1e-5));
}

// Along a path that is nearly straight all steps pull alike, and the lengths' gradient is a small difference of large
// sums.
TEST(LearnedSteps, HaveTheirGradientInFloat32) {
  const auto stage = stage_of_learned_steps(1);
  torch::manual_seed(4);
  const auto z1 = torch::rand({64, 3, 8, 8}), toward = torch::rand({64, 3, 8, 8});
  const auto gradient = [&](torch::Dtype type) {
    const auto z0 = stage.integrate(z1.to(type), 4).to(torch::kFloat32);
    return torch::autograd::grad({(z0 * toward).mean()}, {stage.step_logits})[0];
  };
  const auto exact = gradient(torch::kFloat32);
  EXPECT_LT(((gradient(torch::kBFloat16) - exact).norm() / exact.norm()).item<double>(), 0.02);
}

// Two modules of constant velocities a and b: the stage moves by l a + (1 - l) b.
TEST(LearnedSteps, FindTheLengthsThatEndAtTheTarget) {
  FlowArch flow{.hidden = 2, .modules = 2, .steps = 2, .step_lengths = StepLengths::learned};
  FlowStage stage({.in_channels = 1, .out_channels = 1, .stride = 1, .body = flow}, /*folded=*/false);
  initialise(stage, 1);
  {
    torch::NoGradGuard no_grad;
    stage.velocities()[0]->convs().back()->bias.fill_(1);
    stage.velocities()[1]->convs().back()->bias.fill_(-1);
  }
  const auto z1 = torch::rand({2, 1, 3, 3}), z0 = z1 - 0.8 + 0.2;
  for (int i = 0; i < 200; ++i) {
    const auto loss = (stage.integrate(z1, 2) - z0).square().mean();
    const auto gradient = torch::autograd::grad({loss}, {stage.step_logits})[0];
    torch::NoGradGuard no_grad;
    stage.step_logits -= gradient;
  }
  EXPECT_NEAR(stage.time_steps(2)[0].length, 0.8, 1e-3);
}

TEST(Initialise, DependsOnTheSeedAndNothingElse) {
  const auto arch = varied_archs().back();
  Network a(arch), b(arch), c(arch);
  torch::manual_seed(5);
  initialise(a, 7);
  torch::manual_seed(6);
  initialise(b, 7);
  initialise(c, 8);
  const auto ta = named_tensors(a), tb = named_tensors(b), tc = named_tensors(c);
  bool any_differs = false;
  for (size_t i = 0; i < ta.size(); ++i) {
    EXPECT_TRUE(torch::equal(ta[i].second, tb[i].second)) << ta[i].first;
    any_differs |= !torch::equal(ta[i].second, tc[i].second);
  }
  EXPECT_TRUE(any_differs);
}

TEST(CopyPart, MovesOneStageAndLeavesTheOthers) {
  const auto arch = resnet_arch("resnet18", 8, 10);
  Network from(arch), to(arch);
  initialise(from, 1);
  initialise(to, 2);
  const auto before = to.part(1)->parameters()[0].clone();
  copy_part(from, to, 2);
  EXPECT_TRUE(torch::equal(to.part(2)->parameters()[0], from.part(2)->parameters()[0]));
  EXPECT_TRUE(torch::equal(to.part(1)->parameters()[0], before));
}

TEST(CopyPart, GivesTheFirstBlocksToAStageOfFewer) {
  Network from(resnet_arch("resnet34", 8, 10)), to(resnet_arch("resnet18", 8, 10));
  initialise(from, 1);
  copy_part(from, to, 2);
  const auto source = from.part(2)->named_parameters(), target = to.part(2)->named_parameters();
  EXPECT_LT(target.size(), source.size());
  for (const auto& item : target) EXPECT_TRUE(torch::equal(item.value(), source[item.key()])) << item.key();
}

TEST(CopyPart, RefusesStepsOfOtherLengths) {
  const auto with = [](int64_t steps, StepLengths lengths) {
    return with_flow_stage(resnet_arch("resnet18", 8, 10), 3, {.hidden = 4, .steps = steps, .step_lengths = lengths});
  };
  const Network learned(with(4, StepLengths::learned));
  Network equal(with(4, StepLengths::equal)), fewer(with(2, StepLengths::learned)), same(learned.arch());
  EXPECT_THROW(copy_part(learned, equal, 4), ShapeError);
  EXPECT_THROW(copy_part(learned, fewer, 4), ShapeError);
  EXPECT_NO_THROW(copy_part(learned, same, 4));
}

TEST(CopyPart, RefusesAStageOfAnotherArch) {
  Network from(resnet_arch("resnet18", 8, 10)), to(resnet_arch("resnet34", 8, 10));
  EXPECT_THROW(copy_part(from, to, 1), ShapeError);
  EXPECT_NO_THROW(copy_part(from, to, 5));
}

}  // namespace
}  // namespace mfi
