#include "mfi/train/stage_mapping_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "mfi/core/error.h"
#include "mfi/train/test_data.h"
#include "mfi/train/trainer.h"

namespace mfi {
namespace {

using testing::HasSubstr;

MappingSettings make_settings() {
  MappingSettings settings;
  settings.seed = 5;
  settings.normalisation = {{0.5f, 0.5f, 0.5f}, {0.3f, 0.3f, 0.3f}};
  return settings;
}

FlowArch flow_arch(int64_t modules = 1) { return {.hidden = 12, .modules = modules, .steps = modules}; }

FlowArch flow_of_learned_steps() { return {.hidden = 12, .steps = 2, .step_lengths = StepLengths::learned}; }

// A stage that nothing in mfi knows: images spread over six channels, then z0 = max(x + conv(x), 0), strided.
StageTeacher make_teacher(int64_t stride = 2) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  const auto spread = torch::randn({6, 3, 1, 1}, generator), weight = 0.2 * torch::randn({8, 6, 3, 3}, generator);
  return [=](const torch::Tensor& images) {
    const auto x = at::conv2d(images.to(torch::kFloat32), spread).relu();
    return StageFeatures{x, at::conv2d(x, weight, /*bias=*/{}, stride, /*padding=*/1).relu()};
  };
}

std::shared_ptr<FlowStage> make_stage(const StageTeacher& teacher, const FlowArch& flow) {
  const auto features = teacher(torch::zeros({1, 3, 8, 8}));
  auto stage = std::make_shared<FlowStage>(matching_flow_stage(features, flow), /*folded=*/false);
  initialise(*stage, 3);
  return stage;
}

std::shared_ptr<FlowStage> make_stage(const StageTeacher& teacher, int64_t modules = 1) {
  return make_stage(teacher, flow_arch(modules));
}

Batch make_batch(torch::Dtype type = torch::kFloat32) {
  torch::manual_seed(2);
  return {torch::randn({16, 3, 8, 8}).to(type).contiguous(torch::MemoryFormat::ChannelsLast), torch::zeros({16}), 16};
}

double metric(const Metrics& metrics, const std::string& name) {
  for (const auto& [key, value] : metrics)
    if (key == name) return value;
  ADD_FAILURE() << "no metric " << name;
  return std::nan("");
}

StageFeatures features_of(torch::IntArrayRef in, torch::IntArrayRef out) {
  return {torch::zeros(in), torch::zeros(out)};
}

TEST(MatchingFlowStage, HasTheChannelsAndTheStrideOfTheFeatures) {
  const auto same = matching_flow_stage(features_of({2, 6, 9, 7}, {2, 8, 9, 7}), flow_arch());
  EXPECT_EQ(same.in_channels, 6);
  EXPECT_EQ(same.out_channels, 8);
  EXPECT_EQ(same.stride, 1);
  EXPECT_EQ(std::get<FlowArch>(same.body), flow_arch());
  EXPECT_EQ(matching_flow_stage(features_of({2, 6, 8, 8}, {2, 8, 4, 4}), flow_arch()).stride, 2);
  // Odd sizes are rounded up, as a padded convolution does.
  EXPECT_EQ(matching_flow_stage(features_of({2, 6, 9, 7}, {2, 8, 5, 4}), flow_arch()).stride, 2);
  EXPECT_EQ(matching_flow_stage(features_of({2, 6, 16, 16}, {2, 8, 4, 4}), flow_arch()).stride, 4);
}

TEST(MatchingFlowStage, RejectsFeaturesThatNoStrideConnects) {
  EXPECT_THROW(matching_flow_stage(features_of({2, 6, 8, 8}, {2, 8, 16, 16}), flow_arch()), ShapeError);
  EXPECT_THROW(matching_flow_stage(features_of({2, 6, 8, 8}, {2, 8, 4, 8}), flow_arch()), ShapeError);
}

TEST(MatchingFlowStage, RejectsWhatAreNoFeatures) {
  EXPECT_THROW(matching_flow_stage(features_of({2, 6}, {2, 8}), flow_arch()), ShapeError);
  EXPECT_THROW(matching_flow_stage(features_of({2, 6, 8, 8}, {3, 8, 8, 8}), flow_arch()), ShapeError);
  EXPECT_THROW(matching_flow_stage({torch::zeros({2, 6, 8, 8}), {}}, flow_arch()), ShapeError);
}

TEST(StageMappingTask, HasTheObjectiveOfTheTeachersFeatures) {
  const auto teacher = make_teacher();
  const auto stage = make_stage(teacher);
  auto settings = make_settings();
  settings.objective.meanflow = 0;
  StageMappingTask task(teacher, stage, settings);
  const auto batch = make_batch();
  stage->eval();
  const auto loss = task.step(batch, {}).losses.at(0).item<double>();
  const auto [x, z0] = teacher(batch.images);
  const auto difference = stage->forward(x.contiguous(torch::MemoryFormat::ChannelsLast)) - z0;
  const double expected = (difference.square().mean() / z0.square().mean()).item<double>();
  EXPECT_NEAR(loss, expected, 1e-5 * expected);  // float32 sums of thousands
}

TEST(StageMappingTask, MapsInBfloat16ThoughTheTeacherIsFloat32) {
  const auto teacher = make_teacher();
  const auto stage = make_stage(teacher);
  StageMappingTask task(teacher, stage, make_settings());
  const auto exact = task.step(make_batch(), {}).losses[0].item<double>(),
             rounded = task.step(make_batch(torch::kBFloat16), {}).losses[0].item<double>();
  EXPECT_NE(exact, rounded);
  EXPECT_NEAR(rounded / exact, 1, 0.02);  // roundings at 2^-9 that average out
}

TEST(StageMappingTask, DrawsOtherTimesInAnotherBatch) {
  const auto teacher = make_teacher();
  const auto stage = make_stage(teacher);
  {
    torch::NoGradGuard no_grad;  // away from zero, where times do not matter
    stage->velocities()[0]->convs().back()->weight.normal_(0, 0.3);
  }
  StageMappingTask task(teacher, stage, make_settings());
  const auto loss = [&](int64_t epoch, int64_t batch) {
    return task.step(make_batch(), {epoch, batch}).losses[0].item<double>();
  };
  EXPECT_EQ(loss(1, 2), loss(1, 2));
  EXPECT_NE(loss(1, 2), loss(1, 3));
  EXPECT_NE(loss(1, 2), loss(2, 2));
}

TEST(StageMappingTask, MeasuresTheRelativeErrorOverTheWholeDataset) {
  const auto teacher = make_teacher();
  const auto stage = make_stage(teacher, /*modules=*/2);
  auto settings = make_settings();
  settings.evaluation_batch_size = 7;  // of 30 images: batches of different sizes
  StageMappingTask task(teacher, stage, settings);
  task.set_training_mode();
  const auto data = made_up_dataset(30, 3);
  const auto metrics = task.evaluate(data);
  EXPECT_TRUE(stage->is_training());
  ASSERT_EQ(metrics.size(), 2u);  // no single step with two modules

  stage->eval();
  torch::NoGradGuard no_grad;
  const auto images = (data.images.to(torch::kFloat32) / 255 - 0.5) / 0.3;
  const auto [x, z0] = teacher(images);
  for (const auto& [name, steps] : {std::pair("error_2steps", 2), std::pair("error_4steps", 4)}) {
    const auto z1 = stage->align(x.contiguous(torch::MemoryFormat::ChannelsLast));
    const double expected = ((stage->integrate(z1, steps) - z0).norm() / z0.norm()).item<double>();
    EXPECT_NEAR(metric(metrics, name), expected, 1e-4 * expected);  // pixels come from a table of float32
  }
}

// Through the Trainer, as a user does it. Returns the error on a test set, before and after.
std::pair<double, double> train_stage(const StageTeacher& teacher, const std::shared_ptr<FlowStage>& stage,
                                      const std::string& error, const MappingSettings& settings = make_settings()) {
  const TestFolder folder;
  StageMappingTask task(teacher, stage, settings);
  const auto train_data = made_up_dataset(120, 3), test_data = made_up_dataset(60, 3, /*seed=*/9);
  TrainJob job;
  job.step = "stage";
  job.settings = {.epochs = 30, .batch_size = 20, .learning_rate = 1e-2, .augment = false};
  job.runtime.precision = "fp32";
  job.train = &train_data;
  job.normalisation = make_settings().normalisation;
  job.folder = folder.path();
  Observer silent;
  const double before = metric(task.evaluate(test_data), error);
  train(task, job, silent);
  return {before, metric(task.evaluate(test_data), error)};
}

TEST(StageMappingTask, IsLearntByTheTrainer) {
  const auto teacher = make_teacher();
  const auto stage = make_stage(teacher);
  const auto [before, after] = train_stage(teacher, stage, "error_1step");
  EXPECT_FALSE(stage->is_training());
  EXPECT_LT(after, 0.3 * before);
}

TEST(StageMappingTask, TeachesAStageTheLengthsOfItsSteps) {
  const auto teacher = make_teacher();
  const auto stage = make_stage(teacher, flow_of_learned_steps());
  auto settings = make_settings();
  settings.objective.endpoint = 1;
  const auto [before, after] = train_stage(teacher, stage, "error_2steps", settings);
  EXPECT_LT(after, 0.3 * before);
  const auto steps = stage->time_steps(2);
  EXPECT_GT(std::abs(steps[0].length - 0.5), 0.01);
  EXPECT_NEAR(steps[0].length + steps[1].length, 1, 1e-6);
  // Of the terms only the endpoint, and what else looks at the result, says anything of the lengths.
  const auto other = make_stage(teacher, flow_of_learned_steps());
  settings.objective.endpoint = 0;
  train_stage(teacher, other, "error_2steps", settings);
  EXPECT_EQ(other->time_steps(2)[0].length, 0.5);
}

TEST(StageMappingTask, RejectsATeacherWhoseFeaturesDoNotFitTheStage) {
  const auto stage = make_stage(make_teacher(/*stride=*/2));
  StageMappingTask unfit(make_teacher(/*stride=*/1), stage, make_settings());
  EXPECT_THROW(unfit.step(make_batch(), {}), ShapeError);
  StageMappingTask flat(
      [](const torch::Tensor& images) {
        return StageFeatures{images.flatten(1), images};
      },
      stage, make_settings());
  EXPECT_THAT(message_of<ShapeError>([&] { flat.step(make_batch(), {}); }), HasSubstr("[16, 192]"));
}

}  // namespace
}  // namespace mfi
