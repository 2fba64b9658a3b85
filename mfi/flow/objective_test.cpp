#include "mfi/flow/objective.h"

#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/flow/mean_velocity.h"
#include "mfi/flow/path.h"
#include "mfi/flow/time_schedule.h"
#include "mfi/nn/gradient_check.h"

namespace mfi {
namespace {

const auto f64 = torch::kFloat64;
const RandomStream kDraws(1, 2, 3);

std::shared_ptr<FlowStage> make_stage(int64_t modules = 1, int64_t steps = 0,
                                      StepLengths lengths = StepLengths::equal) {
  FlowArch flow;
  flow.hidden = 3;
  flow.step_lengths = lengths;
  flow.modules = modules;
  flow.steps = steps == 0 ? modules : steps;
  StageArch arch;
  arch.in_channels = 2;
  arch.out_channels = 3;
  arch.stride = 2;
  arch.body = flow;
  auto stage = std::make_shared<FlowStage>(arch, /*folded=*/false);
  randomise(*stage, 4);
  return stage;
}

struct Features {
  torch::Tensor x, z0;
};

Features make_features(int64_t n = 4) {
  torch::manual_seed(5);
  return {torch::randn({n, 2, 4, 4}, f64), torch::randn({n, 3, 2, 2}, f64).relu()};
}

ObjectiveSettings no_terms() {
  ObjectiveSettings out;
  out.meanflow = out.endpoint = out.alignment = out.regression = 0;
  return out;
}

double relative(const torch::Tensor& difference, const torch::Tensor& z0) {
  return (difference.square().mean() / z0.square().mean()).item<double>();
}

TEST(MappingObjective, HasTheEndpointErrorRelativeToTheTarget) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.endpoint = 1;
  settings.endpoint_steps = {4};
  const auto value = mapping_objective(*stage, x, z0, settings, kDraws);
  EXPECT_NEAR(value.endpoint.item<double>(), relative(stage->integrate(stage->align(x), 4) - z0, z0), 1e-12);
}

TEST(MappingObjective, TakesTheMeanOverSeveralNumbersOfSteps) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.endpoint = 1;
  settings.endpoint_steps = {0, 2, 4};  // 0: its own, one
  const auto value = mapping_objective(*stage, x, z0, settings, kDraws);
  double expected = 0;
  for (const int64_t steps : {1, 2, 4}) expected += relative(stage->integrate(stage->align(x), steps) - z0, z0) / 3;
  EXPECT_NEAR(value.endpoint.item<double>(), expected, 1e-12);
}

TEST(MappingObjective, GivesTheOutputWhereItIsAskedFor) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  const ObjectiveSettings settings;
  EXPECT_FALSE(mapping_objective(*stage, x, z0, settings, kDraws).output.defined());
  const auto output = mapping_objective(*stage, x, z0, settings, kDraws, std::nullopt, /*with_output=*/true).output;
  EXPECT_TRUE(torch::allclose(output, stage->integrate(stage->align(x), 1)));
  EXPECT_TRUE(output.requires_grad());
}

TEST(MappingObjective, HasTheAlignmentErrorRelativeToTheTarget) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.alignment = 1;
  const auto value = mapping_objective(*stage, x, z0, settings, kDraws);
  EXPECT_NEAR(value.alignment.item<double>(), relative(stage->align(x) - z0, z0), 1e-12);
}

// The mean of the modules' MeanFlow errors, where the second one's interval begins at `border`.
void expect_meanflow_of_two_modules(const std::shared_ptr<FlowStage>& stage, double border) {
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.meanflow = 1;
  settings.r_equals_t = 0.5;

  auto random = kDraws;
  const TimeSchedule schedule{settings.time_mean, settings.time_stddev, settings.r_equals_t};
  const auto z1 = stage->align(x).detach();
  double expected = 0;
  for (const size_t module : {0, 1}) {
    const auto times = schedule.draw(4, module == 0 ? Interval{border, 1.0} : Interval{0.0, border}, random);
    const auto z = path_point(z0, z1, times.t);
    const NetworkField u(*stage->velocities()[module]);
    expected += 0.5 * relative(u(z, times.r, times.t) - mean_velocity_target(u, z, z1 - z0, times.r, times.t), z0);
  }

  EXPECT_NEAR(mapping_objective(*stage, x, z0, settings, kDraws).meanflow.item<double>(), expected, 1e-12);
}

TEST(MappingObjective, HasTheMeanFlowErrorOfEveryModuleOnItsInterval) {
  expect_meanflow_of_two_modules(make_stage(/*modules=*/2), 0.5);
}

TEST(MappingObjective, LetsTheModulesShareThePathAsTheirStepsHaveLearned) {
  const auto stage = make_stage(/*modules=*/2, /*steps=*/4, StepLengths::learned);
  const auto lengths = torch::softmax(stage->step_logits, 0);
  const double border = 1 - (lengths[0] + lengths[1]).item<double>();
  EXPECT_GT(std::abs(border - 0.5), 0.01);
  expect_meanflow_of_two_modules(stage, border);
}

TEST(MappingObjective, IsTheWeightedSumOfItsTerms) {
  const auto stage = make_stage(2);
  const auto [x, z0] = make_features();
  ObjectiveSettings settings;
  settings.meanflow = 2;
  settings.endpoint = 3;
  settings.alignment = 5;
  settings.regression = 7;
  settings.endpoint_steps = {4};
  const auto value = mapping_objective(*stage, x, z0, settings, kDraws);
  const auto sum = 2 * value.meanflow + 3 * value.endpoint + 5 * value.alignment + 7 * value.regression;
  EXPECT_NEAR(value.loss.item<double>(), sum.item<double>(), 1e-12);
}

TEST(MappingObjective, LeavesTermsOfWeightZeroOut) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.endpoint = 1;
  const auto value = mapping_objective(*stage, x, z0, settings, kDraws);
  EXPECT_FALSE(value.meanflow.defined());
  EXPECT_FALSE(value.alignment.defined());
  EXPECT_FALSE(value.regression.defined());
}

TEST(MappingObjective, RejectsFourWeightsOfZero) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  EXPECT_THROW(mapping_objective(*stage, x, z0, no_terms(), kDraws), RecipeError);
}

TEST(MappingObjective, RejectsATargetOfAnotherShape) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  EXPECT_THROW(mapping_objective(*stage, x, torch::zeros({4, 3, 4, 4}, f64), {}, kDraws), ShapeError);
}

TEST(MappingObjective, RegressesByPlainSquaresWhateverThePower) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.endpoint = settings.regression = 1;
  settings.power = 1;
  const auto value = mapping_objective(*stage, x, z0, settings, kDraws);
  const auto difference = stage->integrate(stage->align(x), 1) - z0;
  EXPECT_NEAR(value.regression.item<double>(), relative(difference, z0), 1e-12);

  // e / (e + 1e-3) for every sample.
  const auto e = difference.square().mean({1, 2, 3}) / z0.square().mean();
  EXPECT_NEAR(value.endpoint.item<double>(), (e / (e + 1e-3)).mean().item<double>(), 1e-12);
}

TEST(MappingObjective, RegressesInTheStagesOwnStepsWhateverTheEndpointsSteps) {
  const auto stage = make_stage();
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.endpoint = settings.regression = 1;
  settings.endpoint_steps = {4};
  const auto value = mapping_objective(*stage, x, z0, settings, kDraws);
  EXPECT_NEAR(value.regression.item<double>(), relative(stage->integrate(stage->align(x), 1) - z0, z0), 1e-12);
}

TEST(MappingObjective, RepeatsItselfAtTheSameAddress) {
  const auto stage = make_stage(2);
  const auto [x, z0] = make_features();
  const auto once = mapping_objective(*stage, x, z0, {}, kDraws).loss,
             again = mapping_objective(*stage, x, z0, {}, kDraws).loss;
  EXPECT_EQ(once.item<double>(), again.item<double>());
}

TEST(MappingObjective, UpdatesTheBatchStatisticsOnce) {
  const auto stage = make_stage(2);
  const auto [x, z0] = make_features();
  const auto& norm = *stage->alignment()->norm;
  const auto before = norm.running_mean.clone();
  ObjectiveSettings settings;
  settings.alignment = settings.regression = 1;
  mapping_objective(*stage, x, z0, settings, kDraws);
  const auto batch_mean = stage->alignment()->conv->forward(x).mean({0, 2, 3});
  const auto expected = 0.9 * before + 0.1 * batch_mean;
  EXPECT_TRUE(torch::allclose(norm.running_mean, expected, 1e-12, 1e-12));
}

// Every term but the MeanFlow one is an ordinary function of the weights.
TEST(MappingObjective, HasRightGradientsWithoutMeanFlow) {
  const auto stage = make_stage(2);
  const auto [x, z0] = make_features();
  ObjectiveSettings settings;
  settings.meanflow = 0;
  settings.alignment = 0.5;
  settings.regression = 2;
  settings.endpoint_steps = {4};
  expect_right_gradients([&, &x = x, &z0 = z0] { return mapping_objective(*stage, x, z0, settings, kDraws).loss; },
                         named_leaves(*stage));
}

// With r = t for all samples there is no Jacobian-vector product, so nothing is held constant.
TEST(MappingObjective, HasRightGradientsOfMeanFlowWhereRIsT) {
  const auto stage = make_stage(2);
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.meanflow = 1;
  settings.r_equals_t = 1;
  expect_right_gradients([&, &x = x, &z0 = z0] { return mapping_objective(*stage, x, z0, settings, kDraws).loss; },
                         named_leaves(*stage));
}

// Finite differences of the same loss with the constant parts of the target frozen at their value.
void expect_gradients_of_frozen_target(bool gradient_through_velocity) {
  const auto stage = make_stage();
  const auto features = make_features();
  const auto& x = features.x;
  const auto& z0 = features.z0;
  auto settings = no_terms();
  settings.meanflow = 1;
  settings.r_equals_t = 0.5;
  settings.gradient_through_velocity = gradient_through_velocity;

  auto random = kDraws;
  const auto times = TimeSchedule{settings.time_mean, settings.time_stddev, settings.r_equals_t}.draw(4, {}, random);
  const NetworkField u(*stage->velocities()[0]);
  const auto now_z1 = stage->align(x).detach();
  const auto now_v = now_z1 - z0;
  const auto now_target = mean_velocity_target(u, path_point(z0, now_z1, times.t), now_v, times.r, times.t);
  const auto frozen_loss = [&] {
    const auto z1 = stage->align(x);
    const auto target = gradient_through_velocity ? (z1 - z0) + (now_target - now_v) : now_target;
    return (u(path_point(z0, z1, times.t), times.r, times.t) - target).square().mean() / z0.square().mean();
  };

  const auto leaves = named_leaves(*stage);
  const auto loss = mapping_objective(*stage, x, z0, settings, kDraws).loss;
  expect_central_differences(frozen_loss, leaves, gradients_of(loss, leaves));
}

TEST(MappingObjective, HasRightGradientsWithGradientThroughTheVelocity) { expect_gradients_of_frozen_target(true); }

TEST(MappingObjective, HasRightGradientsWithAConstantTarget) { expect_gradients_of_frozen_target(false); }

// `leave` at zero makes u = 0 whatever z is, so v is the only way from the loss to the alignment.
double alignment_gradient(bool gradient_through_velocity) {
  const auto stage = make_stage();
  {
    torch::NoGradGuard no_grad;
    stage->velocities()[0]->convs().back()->weight.zero_();
  }
  const auto [x, z0] = make_features();
  auto settings = no_terms();
  settings.meanflow = 1;
  settings.gradient_through_velocity = gradient_through_velocity;
  mapping_objective(*stage, x, z0, settings, kDraws).loss.backward();
  const auto& gradient = stage->alignment()->conv->weight.grad();
  return gradient.defined() ? gradient.norm().item<double>() : 0;
}

TEST(MappingObjective, ReachesTheAlignmentThroughTheVelocityWhenAskedTo) { EXPECT_GT(alignment_gradient(true), 1e-3); }

TEST(MappingObjective, LeavesTheAlignmentAloneWithAConstantTarget) { EXPECT_EQ(alignment_gradient(false), 0); }

TEST(MappingObjective, StaysCloseToFloat32InBfloat16) {
  const auto stage = make_stage(2);
  const auto features = make_features(32);
  stage->to(torch::kFloat32);
  ObjectiveSettings settings;
  settings.alignment = 1;
  const auto loss_in = [&](torch::Dtype type) {
    return mapping_objective(*stage, features.x.to(type), features.z0.to(type), settings, kDraws).loss;
  };
  const auto leaves = named_leaves(*stage);
  const auto exact = loss_in(torch::kFloat32), rounded = loss_in(torch::kBFloat16);
  EXPECT_EQ(rounded.scalar_type(), torch::kFloat32);
  // bfloat16 rounds at 2^-9 = 0.2 %; errors of thousands of elements average out in the loss.
  EXPECT_NEAR(rounded.item<double>() / exact.item<double>(), 1, 0.01);

  const auto flat = [](const NamedGradients& gradients) {
    std::vector<torch::Tensor> parts;
    for (const auto& [name, gradient] : gradients) parts.push_back(gradient.reshape(-1));
    return torch::cat(parts);
  };
  const auto a = flat(gradients_of(exact, leaves)), b = flat(gradients_of(rounded, leaves));
  // A gradient is one rounding further away, and ReLUs near zero may flip.
  EXPECT_LT(((a - b).norm() / a.norm()).item<double>(), 0.05);
}

}  // namespace
}  // namespace mfi
