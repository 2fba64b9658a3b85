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

std::vector<Arch> varied_archs() {
  std::vector<Arch> out;
  for (const auto& name : {"resnet20", "resnet18", "resnet50"}) out.push_back(resnet_arch(name, 8, 10));
  auto flows = resnet_arch("resnet34", 8, 7);
  flows = with_flow_stage(flows, 0, flow_arch(VelocityKind::bottleneck, 5, 1, 1, 1, 1));
  flows = with_flow_stage(flows, 1, flow_arch(VelocityKind::pointwise, 7, 2, 1, 3, 3));
  flows = with_flow_stage(flows, 3, flow_arch(VelocityKind::bottleneck, 9, 3, 2, 4, 1));
  out.push_back(flows);
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

TEST(FlowStage, SharesThePathOutAmongItsModules) {
  const Network net(varied_archs().back());
  const auto& stage = net.flow_stage(3);
  EXPECT_EQ(stage.module_interval(0).t, 1);
  EXPECT_EQ(stage.module_interval(0).r, 0.5);
  EXPECT_EQ(stage.module_interval(1).t, 0.5);
  EXPECT_EQ(stage.module_interval(1).r, 0);
  EXPECT_THROW(stage.integrate(torch::zeros({1, 64, 4, 4}), 3), ShapeError);
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

TEST(CopyPart, RefusesAStageOfAnotherArch) {
  Network from(resnet_arch("resnet18", 8, 10)), to(resnet_arch("resnet34", 8, 10));
  EXPECT_THROW(copy_part(from, to, 1), ShapeError);
  EXPECT_NO_THROW(copy_part(from, to, 5));
}

}  // namespace
}  // namespace mfi
