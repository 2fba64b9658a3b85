#include "mfi/train/mapping_task.h"

#include <gtest/gtest.h>
#include <torch/optim.h>

#include <cmath>

#include "mfi/core/error.h"

namespace mfi {
namespace {

// Two stages, small enough for a test and with a stride.
Arch tiny_arch() {
  Arch arch;
  arch.name = "tiny";
  arch.image_size = 8;
  arch.stem_channels = 8;
  arch.classes = 3;
  for (const auto& [in, out, stride] : {std::tuple{8, 8, 1}, std::tuple{8, 16, 2}}) {
    StageArch stage;
    stage.in_channels = in;
    stage.out_channels = out;
    stage.stride = stride;
    stage.body = BlocksArch{BlockKind::basic, out, 2};
    arch.stages.push_back(stage);
  }
  return arch;
}

// Random weights, and statistics that fit the images below.
std::shared_ptr<Network> make_teacher(const Arch& arch = tiny_arch()) {
  auto teacher = std::make_shared<Network>(arch);
  initialise(*teacher, 11);
  torch::manual_seed(1);
  torch::NoGradGuard no_grad;
  for (int i = 0; i < 30; ++i) teacher->forward(torch::randn({32, 3, 8, 8}));
  teacher->eval();
  return teacher;
}

FlowArch flow_arch(int64_t modules = 1, int64_t steps = 0) {
  FlowArch flow;
  flow.hidden = 12;
  flow.modules = modules;
  flow.steps = steps == 0 ? modules : steps;
  return flow;
}

// The teacher's Arch with flow stages for some of its stages, one module in the first, two in the second.
std::shared_ptr<Network> make_student(const std::vector<size_t>& flow_stages = {0, 1}) {
  auto arch = tiny_arch();
  for (const size_t stage : flow_stages)
    arch = with_flow_stage(arch, stage, flow_arch(static_cast<int64_t>(stage) + 1));
  auto student = std::make_shared<Network>(arch);
  initialise(*student, 5);
  return student;
}

MappingSettings make_settings() {
  MappingSettings settings;
  settings.seed = 5;
  settings.normalisation = {{0.5f, 0.5f, 0.5f}, {0.3f, 0.3f, 0.3f}};
  return settings;
}

Batch make_batch(torch::Dtype type = torch::kFloat32, uint64_t seed = 2) {
  torch::manual_seed(seed);
  return {torch::randn({32, 3, 8, 8}).to(type).contiguous(torch::MemoryFormat::ChannelsLast), torch::randint(3, {32})};
}

Dataset make_dataset() {
  torch::manual_seed(3);
  return {torch::randint(256, {90, 3, 8, 8}, torch::kUInt8), torch::randint(3, {90}), {"a", "b", "c"}};
}

using Snapshot = std::vector<std::pair<std::string, torch::Tensor>>;

Snapshot snapshot(const torch::nn::Module& module) {
  auto out = named_tensors(module);
  for (auto& [name, tensor] : out) tensor = tensor.detach().clone();
  return out;
}

void expect_unchanged(const Snapshot& before, const torch::nn::Module& module) {
  const auto now = named_tensors(module);
  ASSERT_EQ(before.size(), now.size());
  for (size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(torch::equal(before[i].second, now[i].second)) << now[i].first;
}

double metric(const Metrics& metrics, const std::string& name) {
  for (const auto& [key, value] : metrics)
    if (key == name) return value;
  ADD_FAILURE() << "no metric " << name;
  return std::nan("");
}

void train(MappingTask& task, int64_t steps, torch::Dtype type = torch::kFloat32) {
  std::vector<torch::Tensor> parameters;
  for (const auto& set : task.parameter_sets())
    for (const auto& [name, parameter] : set.parameters) parameters.push_back(parameter);
  torch::optim::Adam optimiser(parameters, torch::optim::AdamOptions(1e-2));
  task.set_training_mode();
  for (int64_t i = 0; i < steps; ++i) {
    optimiser.zero_grad();
    const auto losses = task.step(make_batch(type, static_cast<uint64_t>(100 + i)), {0, i}).losses;
    torch::stack(losses).sum().backward();
    optimiser.step();
  }
}

TEST(MappingTask, HasALossAndAParameterSetForEveryMappedStage) {
  MappingTask task(*make_teacher(), make_student(), make_settings());
  const auto sets = task.parameter_sets();
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].name, "stage1");
  EXPECT_EQ(sets[1].name, "stage2");
  task.set_training_mode();
  const auto result = task.step(make_batch(), {});
  EXPECT_EQ(result.losses.size(), 2u);
  EXPECT_EQ(result.correct, -1);
}

// The first of the teacher's two blocks in a stage, on its way to do what both do.
TEST(MappingTask, MapsAStageOfFewerBlocks) {
  const auto teacher = make_teacher();
  auto arch = tiny_arch();
  std::get<BlocksArch>(arch.stages[1].body).count = 1;
  const auto student = std::make_shared<Network>(arch);
  for (size_t part = 0; part < student->part_count(); ++part) copy_part(*teacher, *student, part);
  MappingTask task(*teacher, student, make_settings());
  ASSERT_EQ(task.parameter_sets().size(), 1u);
  EXPECT_EQ(task.parameter_sets()[0].name, "stage2");
  const auto loss = [&] {
    task.set_training_mode();
    return task.step(make_batch(), {}).losses[0].item<double>();
  };
  const auto data = make_dataset();
  const auto before = task.evaluate(data);
  const double loss_before = loss();
  train(task, 150);
  EXPECT_LT(loss(), 0.75 * loss_before);
  const auto after = task.evaluate(data);
  EXPECT_EQ(after.size(), 3u) << "its error, the accuracy with it swapped in, and the teacher's";
  EXPECT_EQ(metric(after, "teacher_percent"), metric(before, "teacher_percent"));
}

TEST(MappingTask, NamesParametersAsTheStudentDoes) {
  MappingTask task(*make_teacher(), make_student(), make_settings());
  const auto all = task.student().named_parameters();
  for (const auto& set : task.parameter_sets())
    for (const auto& [name, parameter] : set.parameters) EXPECT_TRUE(all[name].is_same(parameter)) << name;
}

TEST(MappingTask, LeavesTheTeacherBitForBitUnchanged) {
  const auto teacher = make_teacher();
  const auto before = snapshot(*teacher);
  MappingTask task(*teacher, make_student(), make_settings());
  train(task, 3);
  expect_unchanged(before, *teacher);
}

TEST(MappingTask, LeavesTheStudentsFrozenPartsBitForBitUnchanged) {
  const auto student = make_student({1});
  MappingTask task(*make_teacher(), student, make_settings());
  std::vector<Snapshot> before;
  for (const size_t part : {0, 1, 3}) before.push_back(snapshot(*student->part(part)));
  train(task, 3);
  size_t i = 0;
  for (const size_t part : {0, 1, 3}) expect_unchanged(before[i++], *student->part(part));
}

// The folded teacher that training looks at: its targets must stay where they are.
TEST(MappingTask, AimsAtTheSameTargetsAfterTraining) {
  MappingTask task(*make_teacher(), make_student(), make_settings());
  const auto data = make_dataset();
  const auto before = metric(task.evaluate(data), "teacher_percent");
  const auto start = snapshot(task.student());
  task.set_training_mode();
  const auto loss = task.step(make_batch(), {}).losses[1].item<double>();
  train(task, 3);
  for (auto& [name, tensor] : named_tensors(task.student())) {
    torch::NoGradGuard no_grad;
    for (const auto& [old_name, old] : start)
      if (name == old_name) tensor.copy_(old);
  }
  EXPECT_EQ(task.step(make_batch(), {}).losses[1].item<double>(), loss);
  EXPECT_EQ(metric(task.evaluate(data), "teacher_percent"), before);
}

TEST(MappingTask, HandsOnALossBeforeItMakesTheNext) {
  // As a trainer takes them, each with its gradient at once; and all gradients together.
  const auto gradients = [](bool at_once) {
    const auto student = make_student();
    MappingTask task(*make_teacher(), student, make_settings());
    task.set_training_mode();
    if (at_once) {
      std::vector<bool> first_has_none;
      task.losses(make_batch(), {}, [&](const torch::Tensor& loss) {
        const auto& last = task.parameter_sets().back().parameters;
        first_has_none.push_back(!last[0].second.grad().defined());
        loss.backward();
      });
      EXPECT_EQ(first_has_none, std::vector<bool>(task.parameter_sets().size(), true));
    } else {
      torch::Tensor total = torch::zeros({});
      for (const auto& loss : task.step(make_batch(), {}).losses) total = total + loss;
      total.backward();
    }
    std::vector<torch::Tensor> out;
    for (const auto& set : task.parameter_sets())
      for (const auto& [name, parameter] : set.parameters) out.push_back(parameter.grad());
    return out;
  };
  const auto once = gradients(true), together = gradients(false);
  ASSERT_EQ(once.size(), together.size());
  ASSERT_FALSE(once.empty());
  for (size_t i = 0; i < once.size(); ++i) EXPECT_TRUE(torch::equal(once[i], together[i])) << i;
}

TEST(MappingTask, RepeatsAStepAtTheSamePosition) {
  MappingTask task(*make_teacher(), make_student(), make_settings());
  task.set_training_mode();
  const auto once = task.step(make_batch(), {3, 4}).losses, again = task.step(make_batch(), {3, 4}).losses;
  for (size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].item<double>(), again[i].item<double>());
}

TEST(MappingTask, DrawsOtherTimesInOtherBatchesAndEpochs) {
  auto settings = make_settings();
  settings.objective.endpoint = 0;
  MappingTask task(*make_teacher(), make_student(), settings);
  task.set_training_mode();
  const auto loss = [&](const StepPosition& position) {
    return task.step(make_batch(), position).losses[1].item<double>();
  };
  train(task, 2);  // until then u is 0 and the loss does not depend on the times
  EXPECT_NE(loss({0, 0}), loss({0, 1}));
  EXPECT_NE(loss({0, 0}), loss({1, 0}));
}

// The teacher's stages are flow stages too, so the student's wider ones could do all that they do.
TEST(MappingTask, LowersTheEndpointErrorOfEveryStage) {
  auto narrow = flow_arch();
  narrow.hidden = 4;
  const auto teacher = make_teacher(with_flow_stage(with_flow_stage(tiny_arch(), 0, narrow), 1, narrow));
  for (const size_t stage : {0, 1}) {
    torch::NoGradGuard no_grad;
    torch::manual_seed(4);
    teacher->flow_stage(stage).velocities()[0]->convs().back()->weight.normal_(0, 0.5);
  }
  MappingTask task(*teacher, make_student(), make_settings());
  const auto data = make_dataset();
  const auto before = task.evaluate(data);
  train(task, 60);
  const auto after = task.evaluate(data);
  EXPECT_LT(metric(after, "stage1_error_1step"), 0.6 * metric(before, "stage1_error_1step"));
  EXPECT_LT(metric(after, "stage2_error_2steps"), 0.6 * metric(before, "stage2_error_2steps"));
}

TEST(MappingTask, StepsInBfloat16CloseToFloat32) {
  MappingTask task(*make_teacher(), make_student(), make_settings());
  train(task, 20);
  const auto exact = task.step(make_batch(), {}).losses, rounded = task.step(make_batch(torch::kBFloat16), {}).losses;
  // bfloat16 rounds at 2^-9 = 0.2 %, in inputs and targets too, over a dozen layers; the errors of
  // thousands of elements average out in the loss.
  for (size_t i = 0; i < exact.size(); ++i)
    EXPECT_NEAR(rounded[i].item<double>() / exact[i].item<double>(), 1, 0.02) << "stage " << i + 1;
}

TEST(MappingTask, EvaluatesEveryNumberOfStepsThatTheModulesAllow) {
  MappingTask task(*make_teacher(), make_student(), make_settings());
  std::vector<std::string> names;
  for (const auto& [name, value] : task.evaluate(make_dataset())) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "stage1_error_1step", "stage1_error_2steps", "stage1_error_4steps", "stage1_swap_in_percent",
                       "stage1_swap_in_1step_percent", "stage1_swap_in_2steps_percent", "stage1_swap_in_4steps_percent",
                       "stage2_error_2steps", "stage2_error_4steps", "stage2_swap_in_percent",
                       "stage2_swap_in_2steps_percent", "stage2_swap_in_4steps_percent", "teacher_percent"}));
}

// A teacher whose second stage is itself a flow stage, given to the student weight by weight.
TEST(MappingTask, FindsNoErrorAndTheTeachersAccuracyInAStageThatIsTheTeachers) {
  const auto arch = with_flow_stage(tiny_arch(), 1, flow_arch(1, 2));
  const auto teacher = make_teacher(arch);
  {
    torch::NoGradGuard no_grad;
    teacher->flow_stage(1).velocities()[0]->convs().back()->weight.normal_(0, 0.2);
  }
  auto student = std::make_shared<Network>(arch);
  initialise(*student, 5);
  auto settings = make_settings();
  settings.evaluation_batch_size = 40;  // the last batch is smaller
  MappingTask task(*teacher, student, settings);
  const auto data = make_dataset();
  EXPECT_GT(metric(task.evaluate(data), "stage2_error_2steps"), 0.1);

  copy_part(*teacher, *student, 2);

  const auto metrics = task.evaluate(data);
  // Folding moves the teacher's features by float32 rounding.
  EXPECT_LT(metric(metrics, "stage2_error_2steps"), 1e-5);
  EXPECT_GT(metric(metrics, "stage2_error_1step"), 1e-2);
  EXPECT_EQ(metric(metrics, "stage2_swap_in_percent"), metric(metrics, "teacher_percent"));
  EXPECT_EQ(metric(metrics, "stage2_swap_in_2steps_percent"), metric(metrics, "teacher_percent"));
}

TEST(MappingTask, CountsTheTeachersRightAnswers) {
  const auto teacher = make_teacher();
  auto data = make_dataset();
  {
    torch::NoGradGuard no_grad;
    const auto images = (data.images.to(torch::kFloat32) / 255 - 0.5) / 0.3;
    data.labels = teacher->forward(images).argmax(1);
  }
  MappingTask task(*teacher, make_student({0}), make_settings());  // the teacher goes on where mapped stages end
  EXPECT_GE(metric(task.evaluate(data), "teacher_percent"), 98);   // folding may flip a near tie
}

TEST(MappingTask, LeavesWeightsStatisticsAndModesAloneWhenItEvaluates) {
  const auto student = make_student();
  MappingTask task(*make_teacher(), student, make_settings());
  task.set_training_mode();
  const auto before = snapshot(*student);
  task.evaluate(make_dataset());
  expect_unchanged(before, *student);
  EXPECT_TRUE(student->stage(0)->is_training());
  EXPECT_TRUE(student->flow_stage(0).alignment()->norm->is_training());
  EXPECT_FALSE(student->part(0)->is_training());
}

// The rest of the teacher, by hand.
TEST(MappingTask, AddsTheDivergenceOfTheTeachersAnswers) {
  const auto teacher = make_teacher();
  auto settings = make_settings();
  const auto losses = [&](double logits) {
    settings.objective.logits = logits;
    MappingTask task(*teacher, make_student(), settings);
    task.set_training_mode();
    return task.step(make_batch(), {}).losses;
  };
  const auto without = losses(0), with = losses(0.5);
  torch::NoGradGuard no_grad;
  const auto student = make_student();
  student->train();
  const auto images = make_batch().images;
  const auto input = teacher->run(images, 0, 1);
  const auto answers = torch::log_softmax(teacher->forward(images), 1),
             replaced = torch::log_softmax(teacher->run(student->stage(0)->forward(input), 2, 4), 1);
  const double divergence = (answers.exp() * (answers - replaced)).sum(1).mean().item<double>();
  EXPECT_GT(divergence, 1e-3);
  EXPECT_NEAR(with[0].item<double>() - without[0].item<double>(), 0.5 * divergence, 1e-4);
}

TEST(MappingTask, LearnsWhatTheTeachersRestMakesOfAStage) {
  const auto teacher = make_teacher();
  auto settings = make_settings();
  const auto data = make_dataset();
  const auto divergence_after = [&](double logits) {
    settings.objective.logits = logits;
    const auto student = make_student({0});
    MappingTask task(*teacher, student, settings);
    train(task, 60);
    student->eval();
    torch::NoGradGuard no_grad;
    const auto images = make_batch(torch::kFloat32, 999).images;
    const auto answers = torch::log_softmax(teacher->forward(images), 1),
               replaced =
                   torch::log_softmax(teacher->run(student->stage(0)->forward(teacher->run(images, 0, 1)), 2, 4), 1);
    return (answers.exp() * (answers - replaced)).sum(1).mean().item<double>();
  };
  EXPECT_LT(divergence_after(10), divergence_after(0));
}

// Half of the batch goes through the student's own first stage, the other half through the teacher's.
TEST(MappingTask, ShowsAStageWhatTheStudentsOwnStagesGive) {
  const auto teacher = make_teacher();
  auto settings = make_settings();
  settings.own_input = 1;
  settings.objective = {.meanflow = 0, .endpoint = 1};
  const auto loss = [&](double done) {
    MappingTask task(*teacher, make_student(), settings);
    task.set_training_mode();
    return task.step(make_batch(), {0, 0, done}).losses;
  };
  torch::NoGradGuard no_grad;
  const auto student = make_student();
  student->train();
  const auto images = make_batch().images;
  const auto x1 = teacher->run(images, 0, 1), x2 = teacher->run(images, 0, 2), target = teacher->run(images, 0, 3);
  const auto own = student->stage(0)->forward(x1);
  // Every other one.
  const auto mixed = torch::where((torch::arange(32) % 2 == 1).view({32, 1, 1, 1}), own, x2);
  const auto expected = [&](const torch::Tensor& input) {
    const auto again = make_student();
    again->train();
    return (again->stage(1)->forward(input) - target).square().mean().item<double>() /
           target.square().mean().item<double>();
  };
  EXPECT_NEAR(loss(0)[1].item<double>(), expected(x2), 1e-4);
  EXPECT_NEAR(loss(0.5)[1].item<double>(), expected(mixed), 1e-4);
  EXPECT_GT(std::abs(expected(mixed) - expected(x2)), 1e-3);
  EXPECT_EQ(loss(0.5)[0].item<double>(), loss(0)[0].item<double>()) << "before the first stage there is none";
}

// The first mapped stage stands behind one of the teacher's, and the activations are bfloat16.
TEST(MappingTask, GoesThroughTheTeachersStagesBeforeAMappedOne) {
  auto settings = make_settings();
  settings.own_input = 1;
  MappingTask task(*make_teacher(), make_student({1}), settings);
  task.set_training_mode();
  const auto batch = make_batch(torch::kBFloat16);
  const auto teachers = task.step(batch, {0, 0, 0}).losses, own = task.step(batch, {0, 0, 0.9}).losses;
  ASSERT_EQ(own.size(), 1u);
  // There is nothing of the student's own before it.
  EXPECT_EQ(own[0].item<double>(), teachers[0].item<double>());
}

TEST(MappingTask, RejectsAStudentWithoutAFlowStage) {
  EXPECT_THROW(MappingTask(*make_teacher(), make_student({}), make_settings()), ShapeError);
}

TEST(MappingTask, RejectsAFlowStageOfAnotherShapeThanTheTeachers) {
  auto wide = tiny_arch();
  wide.stages[1].out_channels = 24;
  std::get<BlocksArch>(wide.stages[1].body).width = 24;
  EXPECT_THROW(MappingTask(*make_teacher(wide), make_student(), make_settings()), ShapeError);
}

TEST(MappingTask, RejectsAStudentWithFewerStages) {
  auto short_arch = tiny_arch();
  short_arch.stages.pop_back();
  EXPECT_THROW(MappingTask(*make_teacher(short_arch), make_student(), make_settings()), ShapeError);
}

}  // namespace
}  // namespace mfi
