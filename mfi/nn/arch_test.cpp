#include "mfi/nn/arch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/nn/cost.h"

namespace mfi {
namespace {

using testing::HasSubstr;

double millions(const Arch& arch) { return static_cast<double>(total_cost(arch).parameters) / 1e6; }

struct PaperSize {
  const char* name;
  int64_t classes;
  double teacher_millions;
};

class TeacherSize : public testing::TestWithParam<PaperSize> {};

// The paper prints two decimals, cut rather than rounded, and 11.21 for a network of 11.220 M.
TEST_P(TeacherSize, IsThePapers) {
  const auto& p = GetParam();
  EXPECT_NEAR(millions(resnet_arch(p.name, 0, p.classes)), p.teacher_millions, 0.0105);
}

INSTANTIATE_TEST_SUITE_P(Paper, TeacherSize,
                         testing::Values(PaperSize{"resnet18", 10, 11.17}, PaperSize{"resnet18", 100, 11.21},
                                         PaperSize{"resnet34", 10, 21.28}, PaperSize{"resnet34", 100, 21.32},
                                         PaperSize{"resnet50", 10, 23.52}, PaperSize{"resnet50", 100, 23.70}));

TEST(StageSize, IsThePapersForResNet34And50) {
  const auto check = [](const char* name, std::vector<double> stage_millions) {
    const auto costs = part_costs(resnet_arch(name, 0, 10));
    for (size_t i = 0; i < stage_millions.size(); ++i)
      EXPECT_NEAR(static_cast<double>(costs[i + 1].parameters) / 1e6, stage_millions[i], 0.005) << name << i;
  };
  check("resnet34", {.22, 1.12, 6.82, 13.11});
  check("resnet50", {.22, 1.22, 7.10, 14.96});
}

// He et al. 2016, table 6: 0.27, 0.46, 0.66, 0.85, 1.7 million.
TEST(CifarFamily, HasThePublishedSizes) {
  EXPECT_NEAR(millions(resnet_arch("resnet20", 0, 10)), 0.27, 0.005);
  EXPECT_NEAR(millions(resnet_arch("resnet32", 0, 10)), 0.46, 0.01);
  EXPECT_NEAR(millions(resnet_arch("resnet44", 0, 10)), 0.66, 0.005);
  EXPECT_NEAR(millions(resnet_arch("resnet56", 0, 10)), 0.85, 0.01);
  EXPECT_NEAR(millions(resnet_arch("resnet110", 0, 10)), 1.7, 0.05);
}

TEST(ResNetArch, NamesTheNearestKnownNetwork) {
  try {
    resnet_arch("resnet43", 0, 10);
    FAIL() << "accepted";
  } catch (const RecipeError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean resnet"));
  }
}

TEST(ResNetArch, ChainsChannelsAndHalvesResolution) {
  for (const auto& name : resnet_names()) {
    const auto arch = resnet_arch(name, 0, 10);
    EXPECT_NO_THROW(arch.validate()) << name;
    const auto costs = part_costs(arch);
    EXPECT_EQ(costs[costs.size() - 2].out_size, arch.stages.size() == 4 ? 4 : 8) << name;
  }
}

Arch mixed_arch() {
  auto arch = resnet_arch("resnet34", 16, 10);
  FlowArch flow;
  flow.hidden = 21;
  flow.modules = 2;
  flow.steps = 4;
  flow.alignment = 3;
  flow.kind = VelocityKind::pointwise;
  return with_flow_stage(arch, 3, flow);
}

// Stage 3: a velocity network that sees far, behind means of pixels.
Arch far_sighted_arch() {
  FlowArch flow;
  flow.kind = VelocityKind::depthwise;
  flow.hidden = 20;
  flow.depth = 2;
  flow.kernel = 5;
  flow.dilation = 2;
  flow.downsampling = Downsampling::average;
  flow.steps = 2 * flow.modules;
  flow.step_lengths = StepLengths::learned;
  return with_flow_stage(mixed_arch(), 2, flow);
}

TEST(ArchJson, ReturnsTheSameArch) {
  for (const auto& arch : {mixed_arch(), far_sighted_arch(), resnet_arch("resnet152", 0, 100)})
    EXPECT_EQ(arch_from_json(arch_to_json(arch)), arch);
}

// Step records hold a fingerprint of the text: what could be said before must be said as before.
TEST(ArchJson, KeepsTheTextOfWhatIsOlderThanSomeOfItsMembers) {
  const auto text = arch_to_json(mixed_arch());
  const auto flow = text.substr(text.find("\"flow\""));
  EXPECT_EQ(flow,
            "\"flow\":{\"kind\":\"pointwise\",\"hidden\":21,\"depth\":1,\"modules\":2,\"steps\":4,\"alignment\":3}}]}");
  const auto read = std::get<FlowArch>(arch_from_json(text).stages[3].body);
  EXPECT_EQ(read.kernel, 3);
  EXPECT_EQ(read.dilation, 1);
  EXPECT_EQ(read.downsampling, Downsampling::stride);
  EXPECT_EQ(read.step_lengths, StepLengths::equal);
}

TEST(ArchJson, RefusesShapesThatNoVelocityNetworkHas) {
  const auto text = arch_to_json(far_sighted_arch());
  for (const auto& [good, bad] :
       {std::pair{"\"kernel\":5", "\"kernel\":4"}, std::pair{"\"kernel\":5", "\"kernel\":9"},
        std::pair{"\"dilation\":2", "\"dilation\":3"}, std::pair{"\"dilation\":2", "\"dilation\":0"},
        std::pair{"\"average\"", "\"middle\""}, std::pair{"\"learned\"", "\"long\""}}) {
    auto damaged = text;
    damaged.replace(text.find(good), std::string(good).size(), bad);
    EXPECT_THROW(arch_from_json(damaged), CheckpointError) << bad;
  }
}

TEST(ArchJson, RefusesDamagedText) {
  EXPECT_THROW(arch_from_json("{"), CheckpointError);
  EXPECT_THROW(arch_from_json("{}"), CheckpointError);
  auto text = arch_to_json(mixed_arch());
  text.replace(text.find("pointwise"), 9, "sidewards");
  EXPECT_THROW(arch_from_json(text), CheckpointError);
}

TEST(ArchJson, RefusesChannelsThatDoNotChain) {
  auto text = arch_to_json(mixed_arch());
  const std::string key = "\"in_channels\":64";
  text.replace(text.find(key), key.size(), "\"in_channels\":63");
  EXPECT_THROW(arch_from_json(text), CheckpointError);
}

TEST(FirstDifference, NamesTheField) {
  auto other = mixed_arch();
  std::get<FlowArch>(other.stages[3].body).hidden = 22;
  EXPECT_EQ(first_difference(mixed_arch(), other), "stages.3.flow.hidden: 21 here, 22 there");
  EXPECT_EQ(first_difference(mixed_arch(), mixed_arch()), "");
}

TEST(FirstDifference, NamesAFieldThatOneOfTheTextsLeavesOut) {
  auto other = far_sighted_arch();
  std::get<FlowArch>(other.stages[2].body).kernel = 3;
  EXPECT_EQ(first_difference(far_sighted_arch(), other), "stages.2.flow.kernel: 5 here, 3 there");
}

// By hand, for 32 -> 64 channels, hidden 20, a module: alignment 32 * 64 + 2 * 64; enter 64 * 20; leave 20 * 64 + 64;
// times' biases 3 * (depth + 1) * 20.
TEST(FlowStageSize, IsThatOfItsConvolutions) {
  const int64_t ends = 32 * 64 + 2 * 64 + 64 * 20 + 20 * 64 + 64;
  const auto parameters = [](const FlowArch& flow) {
    return stage_cost({.in_channels = 32, .out_channels = 64, .stride = 2, .body = flow}, 16).parameters;
  };
  using enum VelocityKind;
  const int64_t one = 3 * 2 * 20, two = 3 * 3 * 20;
  EXPECT_EQ(parameters({.kind = pointwise, .hidden = 20, .kernel = 7, .dilation = 4}), ends + one + 20 * 20);
  EXPECT_EQ(parameters({.kind = bottleneck, .hidden = 20}), ends + one + 20 * 20 * 9);
  EXPECT_EQ(parameters({.kind = bottleneck, .hidden = 20, .kernel = 5, .dilation = 2}), ends + one + 20 * 20 * 25);
  EXPECT_EQ(parameters({.kind = depthwise, .hidden = 20, .kernel = 5}), ends + one + 20 * 25);
  EXPECT_EQ(parameters({.kind = depthwise, .hidden = 20, .depth = 2, .kernel = 7}), ends + two + 2 * 20 * 49);
  EXPECT_EQ(parameters({.kind = depthwise, .hidden = 20, .alignment = 3, .downsampling = Downsampling::average}),
            ends + one + 20 * 9 + 8 * 32 * 64);
}

// On 8 x 8 pixels, whichever way the alignment came from 16 x 16.
TEST(FlowStageWork, IsThatOfItsConvolutions) {
  FlowArch flow{.kind = VelocityKind::depthwise, .hidden = 20, .depth = 2, .kernel = 5};
  for (const auto way : {Downsampling::stride, Downsampling::average}) {
    flow.downsampling = way;
    const auto cost = stage_cost({.in_channels = 32, .out_channels = 64, .stride = 2, .body = flow}, 16);
    EXPECT_EQ(cost.macs, 64 * (32 * 64 + 64 * 20 + 2 * 20 * 25 + 20 * 64));
    EXPECT_EQ(cost.out_size, 8);
  }
}

TEST(HiddenForBudget, IsTheLargestThatFits) {
  const auto stage = resnet_arch("resnet34", 0, 10).stages[3];
  FlowArch flow;
  flow.modules = flow.steps = 2;
  flow.kernel = 5;
  const auto parameters = [&](int64_t hidden) {
    auto s = stage;
    flow.hidden = hidden;
    s.body = flow;
    return stage_cost(s, 8).parameters;
  };
  for (const auto kind : {VelocityKind::bottleneck, VelocityKind::pointwise, VelocityKind::depthwise}) {
    flow.kind = kind;
    const int64_t hidden = hidden_for_budget(stage, flow, 4'200'000);
    EXPECT_LE(parameters(hidden), 4'200'000);
    EXPECT_GT(parameters(hidden + 1), 4'200'000);
  }
  EXPECT_EQ(hidden_for_budget(stage, flow, 10), 0);
}

TEST(Validate, RefusesStepsThatAreNoMultipleOfModules) {
  FlowArch flow;
  flow.modules = 2;
  flow.steps = 3;
  EXPECT_THROW(with_flow_stage(resnet_arch("resnet18", 0, 10), 3, flow), ShapeError);
}

}  // namespace
}  // namespace mfi
