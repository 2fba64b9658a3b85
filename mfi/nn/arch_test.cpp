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

TEST(ArchJson, ReturnsTheSameArch) {
  for (const auto& arch : {mixed_arch(), resnet_arch("resnet152", 0, 100)})
    EXPECT_EQ(arch_from_json(arch_to_json(arch)), arch);
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

TEST(HiddenForBudget, IsTheLargestThatFits) {
  const auto stage = resnet_arch("resnet34", 0, 10).stages[3];
  FlowArch flow;
  flow.modules = flow.steps = 2;
  const auto parameters = [&](int64_t hidden) {
    auto s = stage;
    flow.hidden = hidden;
    s.body = flow;
    return stage_cost(s, 8).parameters;
  };
  const int64_t hidden = hidden_for_budget(stage, flow, 4'200'000);
  EXPECT_LE(parameters(hidden), 4'200'000);
  EXPECT_GT(parameters(hidden + 1), 4'200'000);
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
