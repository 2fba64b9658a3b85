#include "mfi/search/candidates.h"

#include <gmock/gmock.h>

#include <set>

#include "mfi/core/error.h"
#include "mfi/nn/cost.h"
#include "mfi/nn/narrower.h"
#include "mfi/pipeline/plan.h"

namespace mfi {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

Recipe recipe() {
  Recipe out;
  out.network = {.arch = "resnet34", .width = 8};
  return out;
}

std::vector<std::string> names(const std::vector<Candidate>& candidates) {
  std::vector<std::string> out;
  for (const auto& candidate : candidates) out.push_back(candidate.name);
  return out;
}

TEST(StageCandidates, AreFewerBlocksAndFlowStagesByRisingSizeAndTheTeachersOwnLast) {
  const auto teacher = resnet_arch("resnet34", 8, 10);
  const auto all = stage_candidates(recipe(), teacher);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_THAT(names(all[0]), Contains("blocks-2"));
  EXPECT_THAT(names(all[2]), Contains("blocks-5"));
  int64_t size = 32;
  for (size_t stage = 0; stage < 4; ++stage) {
    EXPECT_EQ(all[stage].back().name, "all");
    EXPECT_EQ(all[stage].back().arch, teacher.stages[stage]);
    const auto list = names(all[stage]);
    EXPECT_EQ(std::set(list.begin(), list.end()).size(), list.size()) << "one comes twice";
    const auto own = stage_cost(teacher.stages[stage], size).parameters;
    int64_t last = 0;
    for (const auto& candidate : all[stage]) {
      const auto parameters = stage_cost(candidate.arch, size).parameters;
      EXPECT_GE(parameters, last) << candidate.name;
      EXPECT_LE(parameters, own) << candidate.name;
      last = parameters;
    }
    size = stage_cost(teacher.stages[stage], size).out_size;
  }
}

TEST(StageCandidates, AreWhatTheRecipeAsksFor) {
  auto wanted = recipe();
  wanted.search.fewer_blocks = false;
  wanted.search.block_percent = {100};
  wanted.search.flows = {"depthwise-5", "bottleneck"};
  wanted.search.flow_percent = {30};
  wanted.search.alignments = {1, 3};
  wanted.search.depths = {1, 2};
  wanted.search.modules = {1, 2};
  wanted.search.steps = {1, 2};
  const auto all = stage_candidates(wanted, resnet_arch("resnet34", 8, 10));
  EXPECT_EQ(all[3].size(), 33u) << "two forms, alignments, depths, numbers of modules and of steps, and the teacher's";
  for (const auto& candidate : all[3])
    if (const auto* flow = std::get_if<FlowArch>(&candidate.arch.body)) {
      EXPECT_EQ(flow->steps % flow->modules, 0);
      EXPECT_EQ(candidate.name.find("dw5x5") != std::string::npos, flow->kind == VelocityKind::depthwise);
      EXPECT_EQ(candidate.name.find("-a3-") != std::string::npos, flow->alignment == 3);
      EXPECT_EQ(candidate.name.find("-deep2-") != std::string::npos, flow->depth == 2);
    }
}

TEST(StageCandidates, AreNarrowerBlocksAllOfThemAndHalf) {
  auto wanted = recipe();
  wanted.network.width = 32;
  wanted.search.flow_percent = {1};
  const auto teacher = resnet_arch("resnet34", 32, 10);
  const auto narrow = [&](size_t stage) {
    std::vector<std::string> out;
    const auto all = stage_candidates(wanted, teacher);
    for (const auto& each : all[stage])
      if (each.name.find("-w") != std::string::npos) out.push_back(each.name);
    return out;
  };
  // 12, 25 and 50 % in whole vectors of 16: of 32 channels always 16.
  EXPECT_THAT(narrow(0), UnorderedElementsAre("blocks-3-w16", "blocks-2-w16"));
  EXPECT_THAT(narrow(2), UnorderedElementsAre("blocks-6-w16", "blocks-3-w16", "blocks-6-w32", "blocks-3-w32",
                                              "blocks-6-w64", "blocks-3-w64"));
  const auto all = stage_candidates(wanted, teacher);
  for (const auto& candidate : all[2])
    if (candidate.name == "blocks-3-w16") {
      EXPECT_EQ(std::get<BlocksArch>(candidate.arch.body), (BlocksArch{.width = 16, .count = 3}));
    }
  wanted.search.fewer_blocks = false;
  EXPECT_THAT(narrow(0), ElementsAre("blocks-3-w16"));
  wanted.search.block_percent = {100};
  EXPECT_THAT(narrow(2), ElementsAre());
}

TEST(StageCandidates, LearnTheirStepsWhereTheyTakeSeveral) {
  auto wanted = recipe();
  wanted.search.steps = {1, 2};
  wanted.flow.step_lengths = {"learned"};
  size_t learned = 0;
  const auto all = stage_candidates(wanted, resnet_arch("resnet34", 8, 10));
  for (const auto& candidate : all[3])
    if (const auto* flow = std::get_if<FlowArch>(&candidate.arch.body)) {
      EXPECT_EQ(flow->step_lengths == StepLengths::learned, flow->steps > 1) << candidate.name;
      EXPECT_EQ(candidate.name.ends_with("steps-learned"), flow->steps > 1) << candidate.name;
      learned += flow->steps > 1;
    }
  EXPECT_GT(learned, 0u);
}

TEST(StageCandidates, AreRefusedWhereThereIsNone) {
  auto wanted = recipe();
  wanted.search.fewer_blocks = false;
  wanted.search.block_percent = {100};
  wanted.search.flow_percent = {1};
  wanted.network.width = 2;
  EXPECT_THROW(stage_candidates(wanted, resnet_arch("resnet18", 2, 10)), RecipeError);
}

TEST(CandidateSet, AssemblesTheTeacherFromItsOwnStages) {
  Network teacher(resnet_arch("resnet34", 8, 10));
  initialise(teacher, 1);
  teacher.eval();
  const CandidateSet set(teacher, stage_candidates(recipe(), teacher.arch()), 2);
  std::vector<size_t> own;
  for (const auto& stage : set.candidates()) own.push_back(stage.size() - 1);
  const auto images = torch::randn({2, 3, 32, 32});
  const auto same = set.assemble(teacher, own);
  same->eval();
  EXPECT_TRUE(torch::equal(same->forward(images), teacher.forward(images)));
}

TEST(CandidateSet, AssemblesCandidatesAsTheyAre) {
  Network teacher(resnet_arch("resnet34", 8, 10));
  initialise(teacher, 1);
  CandidateSet set(teacher, stage_candidates(recipe(), teacher.arch()), 2);
  {
    torch::NoGradGuard no_grad;
    for (auto& parameter : set.parameters()) parameter.add_(torch::randn_like(parameter) * 0.01);
  }
  set.eval();
  teacher.eval();
  const std::vector<size_t> choice{0, 1, 2, 0};
  const auto network = set.assemble(teacher, choice);
  network->eval();
  auto x = teacher.run(torch::randn({2, 3, 32, 32}), 0, 1);
  for (size_t stage = 0; stage < 4; ++stage) {
    const auto expected = set.part(stage, choice[stage])->forward(x);
    x = network->stage(stage)->forward(x);
    EXPECT_TRUE(torch::equal(x, expected)) << stage;
  }
}

TEST(CandidateSet, BeginsWithTheTeachersFirstBlocks) {
  Network teacher(resnet_arch("resnet18", 8, 10));
  initialise(teacher, 1);
  auto wanted = recipe();
  wanted.network.arch = "resnet18";
  const CandidateSet set(teacher, stage_candidates(wanted, teacher.arch()), 2);
  bool found = false;
  for (size_t i = 0; !set.is_teachers(1, i); ++i) {
    if (set.candidates()[1][i].name != "blocks-1") continue;
    found = true;
    const auto kept = set.part(1, i)->named_parameters(), all = teacher.stage(1)->named_parameters();
    ASSERT_FALSE(kept.is_empty());
    for (const auto& item : kept) EXPECT_TRUE(torch::equal(item.value(), all[item.key()])) << item.key();
  }
  EXPECT_TRUE(found);
}

TEST(CandidateSet, BeginsNarrowerBlocksWithTheChannelsThatBringMost) {
  Network teacher(resnet_arch("resnet18", 16, 10));
  initialise(teacher, 1);
  auto wanted = recipe();
  wanted.network = {.arch = "resnet18", .width = 16};
  const CandidateSet set(teacher, stage_candidates(wanted, teacher.arch()), 2);
  bool found = false;
  for (size_t i = 0; !set.is_teachers(1, i); ++i) {
    if (set.candidates()[1][i].name != "blocks-2-w16") continue;
    found = true;
    auto expected = std::make_shared<BlocksStage>(set.candidates()[1][i].arch, /*folded=*/false);
    copy_blocks(dynamic_cast<const BlocksStage&>(*teacher.stage(1)), *expected);
    const auto weights = expected->named_parameters();
    for (const auto& item : set.part(1, i)->named_parameters())
      EXPECT_TRUE(torch::equal(item.value(), weights[item.key()])) << item.key();
  }
  EXPECT_TRUE(found);
}

// What a search finds is a recipe like any other.
TEST(RecipeOfAChoice, PlansThatNetwork) {
  auto wanted = recipe();
  wanted.search.flows = {"recipe", "depthwise-5"};
  wanted.search.modules = {1, 2};
  wanted.flow.step_lengths = {"learned"};
  wanted.network.width = 16;
  const auto teacher = resnet_arch("resnet34", 16, 10);
  const auto all = stage_candidates(wanted, teacher);
  bool narrower = false;
  for (const auto& choice : {std::vector<size_t>{0, 1, 2, 3}, {3, 2, 1, 0}, {all[0].size() - 1, 0, 4, 2}}) {
    const auto arch = assembled_arch(teacher, all, choice);
    const auto made = recipe_of(wanted, teacher, arch);
    EXPECT_EQ(first_difference(make_plan(made, 10).hybrid, arch), "");
  }
  std::vector<size_t> own;
  for (const auto& stage : all) own.push_back(stage.size() - 1);
  for (size_t i = 0; i + 1 < all[2].size(); ++i) {
    if (!all[2][i].name.ends_with("-w32")) continue;
    own[2] = i;
    const auto arch = assembled_arch(teacher, all, own);
    const auto made = recipe_of(wanted, teacher, arch);
    EXPECT_EQ(first_difference(make_plan(made, 10).hybrid, arch), "");
    EXPECT_THAT(made.pipeline.block_width, ElementsAre(0, 0, 32, 0)) << "the teacher's own widths are not the recipe's";
    narrower = true;
  }
  EXPECT_TRUE(narrower);
}

TEST(RecipeOfAChoice, HasControlsThatFitTheNetwork) {
  auto wanted = recipe();
  wanted.network.width = 16;
  wanted.controls = {.no_mapping = true, .regression = true, .smaller_resnet = true, .smaller_width = 12};
  const auto teacher = resnet_arch("resnet34", 16, 10);
  const auto all = stage_candidates(wanted, teacher);
  std::vector<size_t> smallest(4, 0), own;
  for (const auto& stage : all) own.push_back(stage.size() - 1);
  const auto flow = recipe_of(wanted, teacher, assembled_arch(teacher, all, smallest)).controls;
  EXPECT_EQ(flow.smaller_width, 0);
  EXPECT_TRUE(flow.no_mapping && flow.regression && flow.smaller_resnet);
  ASSERT_EQ(all[3][own[3] - 1].name.rfind("blocks-", 0), 0u);
  --own[3];
  EXPECT_FALSE(recipe_of(wanted, teacher, assembled_arch(teacher, all, own)).controls.regression);
}

}  // namespace
}  // namespace mfi
