#include "mfi/pipeline/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/student.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> out;
  for (const auto& step : plan.steps) out.push_back(step.name);
  return out;
}

Recipe small_recipe() {
  Recipe recipe;
  recipe.network = {.arch = "resnet18", .width = 8};
  return recipe;
}

struct Budget {
  const char* recipe;
  double meta_millions, hybrid_millions;
};

class PaperRecipe : public testing::TestWithParam<Budget> {};

// docs/method.md, the paper's sizes: ours stay at or under each.
TEST_P(PaperRecipe, StaysUnderThePapersSizes) {
  const auto file = std::string(MFI_SOURCE_DIR) + "/recipes/paper/" + GetParam().recipe;
  const auto recipe = read_recipe(file);
  const auto plan = make_plan(recipe, data_shape(recipe.data, {}));
  const double meta = static_cast<double>(total_cost(plan.meta).parameters) / 1e6;
  const double hybrid = static_cast<double>(total_cost(plan.hybrid).parameters) / 1e6;
  EXPECT_LE(meta, GetParam().meta_millions);
  EXPECT_LE(hybrid, GetParam().hybrid_millions);
  // Not far under either: a tenth less would be another network.
  EXPECT_GT(meta, 0.9 * GetParam().meta_millions);
  EXPECT_GT(hybrid, 0.9 * GetParam().hybrid_millions);
}

INSTANTIATE_TEST_SUITE_P(Paper, PaperRecipe,
                         testing::Values(Budget{"cifar10-resnet34.toml", 5.08, 12.38},
                                         Budget{"cifar100-resnet34.toml", 5.39, 12.59},
                                         Budget{"cifar10-resnet50.toml", 5.11, 12.62},
                                         Budget{"cifar100-resnet50.toml", 5.43, 12.88}));

TEST(Plan, GivesEachStageItsOwnVelocityNetworkAndAlignment) {
  auto recipe = small_recipe();
  recipe.flow.velocity = {"depthwise", "pointwise", "bottleneck", "depthwise"};
  recipe.flow.hidden = {8};
  recipe.flow.depth = {1, 2, 3, 1};
  recipe.flow.kernel = {5};
  recipe.flow.dilation = {1, 2, 4, 2};
  recipe.flow.alignment = {1, 3, 1, 3};
  recipe.flow.downsampling = {"average"};
  recipe.flow.step_lengths = {"learned"};
  const auto meta = make_plan(recipe, 10).meta;
  const auto flow = [&](size_t stage) { return std::get<FlowArch>(meta.stages[stage].body); };
  using enum VelocityKind;
  const auto average = Downsampling::average;
  EXPECT_EQ(flow(0), (FlowArch{.kind = depthwise, .hidden = 8, .kernel = 5}));  // no stride to take
  EXPECT_EQ(flow(1), (FlowArch{.kind = pointwise, .hidden = 8, .depth = 2, .alignment = 3, .downsampling = average}));
  EXPECT_EQ(flow(2), (FlowArch{.hidden = 8, .depth = 3, .kernel = 5, .dilation = 4, .downsampling = average}));
  EXPECT_EQ(flow(3), (FlowArch{.kind = depthwise,
                               .hidden = 8,
                               .kernel = 5,
                               .dilation = 2,
                               .modules = 2,
                               .steps = 2,
                               .alignment = 3,
                               .downsampling = average,
                               .step_lengths = StepLengths::learned}));  // the others take one step
}

TEST(Plan, IsThePapersOrderByDefault) {
  EXPECT_THAT(names(make_plan(small_recipe(), 10)),
              ElementsAre("teacher", "map", "meta", "incubate-1", "incubate-2", "incubate-3", "hybrid"));
}

TEST(Plan, HasThreeStagesForTheCifarFamily) {
  auto recipe = small_recipe();
  recipe.network = {.arch = "resnet20", .width = 8};
  EXPECT_THAT(names(make_plan(recipe, 10)),
              ElementsAre("teacher", "map", "meta", "incubate-1", "incubate-2", "hybrid"));
}

TEST(Plan, KeepsTheStagesThatTheRecipeNamesAsFlow) {
  auto recipe = small_recipe();
  recipe.pipeline.incubate_default = false;
  recipe.pipeline.incubate = {1};
  const auto plan = make_plan(recipe, 10);
  EXPECT_FALSE(plan.hybrid.stages[0].is_flow());
  for (const size_t stage : {1, 2, 3}) EXPECT_TRUE(plan.hybrid.stages[stage].is_flow());
}

// Blocks of the teacher where it keeps some, mapped where these are fewer; no meta model.
TEST(Plan, GoesTheShortWayWhereTheRecipeSaysHowManyBlocksStay) {
  auto recipe = small_recipe();
  recipe.pipeline.blocks = {2, 1, 1, 0};
  recipe.controls = {.teacher_longer = true, .no_mapping = true};
  const auto plan = make_plan(recipe, 10);
  EXPECT_THAT(names(plan), ElementsAre("teacher", "map", "hybrid", "teacher-longer", "no-mapping"));
  EXPECT_EQ(plan.hybrid.stages[0], plan.teacher.stages[0]);
  EXPECT_EQ(std::get<BlocksArch>(plan.hybrid.stages[1].body).count, 1);
  EXPECT_TRUE(plan.hybrid.stages[3].is_flow());
  const auto& map = plan.step("map");
  EXPECT_THAT(map.part_from, ElementsAre("teacher", "teacher", "teacher", "teacher", "", "teacher"));
  EXPECT_THAT(map.learns,
              ElementsAre(Learns::nothing, Learns::nothing, Learns::all, Learns::all, Learns::all, Learns::nothing));
  EXPECT_THAT(plan.step("hybrid").part_from, Each("map"));
  EXPECT_EQ(plan.step("teacher-longer").settings.epochs, recipe.map.epochs + recipe.hybrid.epochs);
  EXPECT_THAT(plan.step("no-mapping").part_from,
              ElementsAre("teacher", "teacher", "teacher", "teacher", "", "teacher"));
}

// Narrower blocks are mapped as fewer ones are, also where none of them goes.
TEST(Plan, MapsStagesOfNarrowerBlocks) {
  auto recipe = small_recipe();
  auto& pipeline = recipe.pipeline;
  const auto width = std::get<BlocksArch>(make_plan(recipe, 10).teacher.stages[1].body).width;
  pipeline.blocks = std::vector<int64_t>{2, 2, 2, 1};
  pipeline.block_width = {0, width / 2, 0, width};
  recipe.controls.no_mapping = true;
  const auto plan = make_plan(recipe, 10);
  EXPECT_EQ(plan.hybrid.stages[0], plan.teacher.stages[0]);
  EXPECT_EQ(std::get<BlocksArch>(plan.hybrid.stages[1].body).width, width / 2);
  EXPECT_EQ(std::get<BlocksArch>(plan.hybrid.stages[3].body).width, width);
  const auto& map = plan.step("map");
  EXPECT_THAT(map.part_from, Each("teacher"));
  EXPECT_THAT(map.learns, ElementsAre(Learns::nothing, Learns::nothing, Learns::all, Learns::nothing, Learns::all,
                                      Learns::nothing));
  EXPECT_THAT(plan.step("no-mapping").part_from, Each("teacher"));
}

TEST(Plan, PutsOneStageOfTheTeacherIntoEachIncubation) {
  const auto plan = make_plan(small_recipe(), 10);
  const auto& step = plan.step("incubate-2");
  EXPECT_THAT(step.part_from, ElementsAre("meta", "meta", "teacher", "meta", "meta", "meta"));
  using enum Learns;
  EXPECT_THAT(step.learns, ElementsAre(nothing, nothing, all, nothing, nothing, nothing));
}

TEST(Plan, BuildsTheHybridFromTheIncubationsAndTheMetaModel) {
  EXPECT_THAT(make_plan(small_recipe(), 10).step("hybrid").part_from,
              ElementsAre("meta", "incubate-1", "incubate-2", "incubate-3", "meta", "meta"));
}

TEST(Plan, TrainsOnlyVelocitiesOfTheMetaModelWhenTheRecipeSaysSo) {
  auto recipe = small_recipe();
  recipe.meta_parts.train = "velocity";
  using enum Learns;
  EXPECT_THAT(make_plan(recipe, 10).step("meta").learns,
              ElementsAre(nothing, velocity, velocity, velocity, velocity, nothing));
}

// A control that trained for fewer epochs than the hybrid would flatter the method.
TEST(Controls, TrainForAllTheEpochsThatTheHybridHasSeen) {
  auto recipe = small_recipe();
  recipe.teacher.epochs = 100;
  recipe.map.epochs = 1;
  recipe.meta.epochs = 2;
  recipe.incubate.epochs = 4;
  recipe.hybrid.epochs = 8;
  recipe.controls = {.teacher_longer = true,
                     .no_mapping = true,
                     .regression = false,
                     .smaller_resnet = true,
                     .distilled_resnet = true};
  const auto plan = make_plan(recipe, 10);
  EXPECT_EQ(plan.step("teacher-longer").settings.epochs, 15);
  EXPECT_EQ(plan.step("no-mapping").settings.epochs, 15);
  EXPECT_EQ(plan.step("smaller-resnet").settings.epochs, 115);
  EXPECT_EQ(plan.step("distilled-resnet").settings.epochs, 115);
}

TEST(Controls, NoMappingStartsFlowStagesFromNothingAndTheRestFromTheTeacher) {
  auto recipe = small_recipe();
  recipe.controls.no_mapping = true;
  const auto plan = make_plan(recipe, 10);
  const auto& step = plan.step("no-mapping");
  EXPECT_EQ(first_difference(step.arch, plan.hybrid), "");
  EXPECT_THAT(step.part_from, ElementsAre("teacher", "teacher", "teacher", "teacher", "", "teacher"));
}

TEST(Controls, RegressionRepeatsTheMethodWithRegressionAlone) {
  auto recipe = small_recipe();
  recipe.controls.regression = true;
  const auto plan = make_plan(recipe, 10);
  EXPECT_THAT(plan.step("regression-hybrid").inputs(), ElementsAre("regression-meta", "regression-incubate-1",
                                                                   "regression-incubate-2", "regression-incubate-3"));
  const auto& objective = plan.step("regression-map").objective;
  EXPECT_EQ(objective.meanflow + objective.endpoint + objective.alignment, 0);
  EXPECT_EQ(objective.regression, 1);
}

TEST(Controls, SmallerResNetIsTheWidestThatFits) {
  auto recipe = small_recipe();
  recipe.network.width = 64;
  recipe.controls.smaller_resnet = true;
  const auto plan = make_plan(recipe, 10);
  const auto& arch = plan.step("smaller-resnet").arch;
  EXPECT_LE(total_cost(arch).parameters, total_cost(plan.hybrid).parameters);
  EXPECT_GT(total_cost(resnet_arch("resnet18", arch.stem_channels + 1, 10)).parameters,
            total_cost(plan.hybrid).parameters);
}

// What the teacher's soft labels are worth is seen only where nothing else differs.
TEST(Controls, DistilledResNetDiffersFromTheSmallerOneInItsSoftLabelsAlone) {
  auto recipe = small_recipe();
  recipe.controls.smaller_resnet = recipe.controls.distilled_resnet = true;
  recipe.controls.distillation = 0.7;
  recipe.controls.temperature = 3;
  const auto plan = make_plan(recipe, 10);
  const auto &plain = plan.step("smaller-resnet"), &distilled = plan.step("distilled-resnet");
  EXPECT_EQ(first_difference(distilled.arch, plain.arch), "");
  EXPECT_EQ(distilled.part_from, plain.part_from);
  EXPECT_THAT(plain.inputs(), ElementsAre());
  EXPECT_THAT(distilled.inputs(), ElementsAre("teacher"));
  EXPECT_EQ(distilled.settings.distillation, 0.7);
  EXPECT_EQ(distilled.settings.temperature, 3);
  EXPECT_EQ(plain.settings.distillation, 0);
  EXPECT_EQ(distilled.settings.epochs, plain.settings.epochs);
  EXPECT_EQ(distilled.settings.optimiser, plain.settings.optimiser);
  EXPECT_EQ(distilled.settings.learning_rate, plain.settings.learning_rate);
  EXPECT_EQ(distilled.settings.schedule, plain.settings.schedule);
  EXPECT_EQ(distilled.settings.label_smoothing, plain.settings.label_smoothing);
}

TEST(Controls, RefuseASmallerResNetThatIsNotSmaller) {
  auto recipe = small_recipe();
  recipe.controls.smaller_resnet = true;
  recipe.controls.smaller_width = 8;
  EXPECT_THROW(make_plan(recipe, 10), RecipeError);
}

TEST(Plan, NamesTheNearestStep) {
  try {
    make_plan(small_recipe(), 10).step("hybird");
    FAIL() << "found";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean hybrid?"));
  }
}

TEST(AssembleStudent, TakesEachPartFromItsStep) {
  const auto plan = make_plan(small_recipe(), 10);
  std::map<std::string, std::shared_ptr<Network>> models;
  uint64_t seed = 1;
  for (const auto* name : {"teacher", "meta", "incubate-1", "incubate-2", "incubate-3"}) {
    models[name] = std::make_shared<Network>(plan.step(name).arch);
    initialise(*models[name], ++seed);
  }
  const auto& step = plan.step("hybrid");
  const auto student = assemble_student(step, 0, [&](const std::string& name) { return models.at(name); });
  for (size_t part = 0; part < student->part_count(); ++part)
    EXPECT_TRUE(torch::equal(student->part(part)->parameters()[0],
                             models.at(step.part_from[part])->part(part)->parameters()[0]))
        << part_name(step.arch, part);
}

TEST(Plan, GivesTheTeacherTheShortcutsAsked) {
  Recipe recipe;
  recipe.network.arch = "resnet56";
  recipe.network.shortcut = "padded";
  const auto teacher = make_plan(recipe, 10).teacher;
  EXPECT_EQ(teacher.name, "resnet56");
  for (const auto& stage : teacher.stages) EXPECT_EQ(std::get<BlocksArch>(stage.body).shortcut, ShortcutKind::padded);
  EXPECT_EQ(total_cost(teacher).parameters, 853018);  // He et al. (2015), table 6: 0.85 M
}

TEST(Plan, GivesTheTeacherTheStemOfItsImages) {
  Recipe recipe;
  EXPECT_EQ(make_plan(recipe, 10, 32).teacher.stem, StemKind::cifar);
  EXPECT_EQ(make_plan(recipe, 10, 224).teacher.stem, StemKind::imagenet);
  recipe.network.stem = "cifar";
  EXPECT_EQ(make_plan(recipe, 10, 224).teacher.stem, StemKind::cifar);
}

TEST(Plan, TrainsAModelFileThatIsToBeFineTuned) {
  const TestFolder folder;
  const auto file = folder / "model.safetensors";
  save_model(file, Network(resnet_arch("resnet20", 4, 100)), {});
  Recipe recipe;
  recipe.network.model = file.string();
  recipe.network.fine_tune = true;
  const auto plan = make_plan(recipe, 10);
  EXPECT_EQ(plan.teacher.classes, 10);
  EXPECT_EQ(plan.teacher.stem_channels, 4);
  const auto& step = plan.step("teacher");
  EXPECT_EQ(step.kind, StepKind::classify);
  EXPECT_EQ(step.model_file, file);
  EXPECT_EQ(step.settings.epochs, recipe.teacher.epochs);
}

TEST(Plan, RefusesAModelFileThatIsNoTeacher) {
  const TestFolder folder;
  const auto file = folder / "model.safetensors";
  const auto message = [&](const Arch& arch) {
    save_model(file, Network(arch), {});
    Recipe recipe;
    recipe.network.model = file.string();
    return message_of<RecipeError>([&] { make_plan(recipe, 10); });
  };
  auto arch = resnet_arch("resnet20", 4, 10);
  EXPECT_EQ(message(arch), "(nothing)");
  EXPECT_THAT(message(resnet_arch("resnet20", 4, 100)), HasSubstr("has 100 classes, the dataset cifar-10 has 10"));
  EXPECT_THAT(message(with_flow_stage(arch, 2, {})), HasSubstr("has a flow stage"));
  arch.folded = true;
  EXPECT_THAT(message(arch), HasSubstr("is folded"));
}

// Who sees which images: the teacher all labels, mapping and distillation everything, the rest what has a label.
TEST(Plan, GivesEachStepTheImagesThatItMayLearnFrom) {
  auto recipe = small_recipe();
  recipe.data.labelled = 0.1;
  recipe.hybrid.distillation = 0.5;
  recipe.controls.smaller_resnet = true;
  recipe.controls.distilled_resnet = true;
  const auto plan =
      make_plan(recipe, {.classes = 10, .image_size = 32, .training_images = 1000, .unlabelled_pictures = 500});
  const auto expect = [&](const char* step, Images images, double share) {
    EXPECT_EQ(plan.step(step).images, images) << step;
    EXPECT_DOUBLE_EQ(plan.step(step).images_share, share) << step;
  };
  expect("teacher", Images::training, 1);
  expect("map", Images::all, 1.5);
  expect("meta", Images::labelled, 0.1);
  expect("hybrid", Images::all, 1.5);
  expect("smaller-resnet", Images::labelled, 0.1);
  expect("distilled-resnet", Images::all, 1.5);
}

TEST(Plan, HasTheTeacherBesideAStepThatLearnsItsFeatures) {
  auto recipe = small_recipe();
  recipe.hybrid.features = 1;
  const auto plan = make_plan(recipe, 10);
  EXPECT_EQ(plan.step("hybrid").teacher, "teacher");
  EXPECT_EQ(plan.step("meta").teacher, "");
}

}  // namespace
}  // namespace mfi
