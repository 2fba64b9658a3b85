#include "mfi/train/optimiser.h"

#include <gtest/gtest.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/linear.h>

#include <cmath>

#include "mfi/nn/layers.h"
#include "mfi/ops/conv_bias.h"
#include "mfi/train/moving_average.h"
#include "mfi/train/schedule.h"

namespace mfi {
namespace {

// A matrix (with weight decay) and a bias (without), with gradients of their own.
struct Weights {
  torch::Tensor matrix = torch::tensor({{0.5f, -1.5f}, {2.0f, 0.25f}}).requires_grad_();
  torch::Tensor bias = torch::tensor({1.0f, -1.0f}).requires_grad_();

  ParameterSet set() const { return {"network", {{"matrix", matrix}, {"bias", bias}}}; }
  void set_gradients(double scale) {
    matrix.mutable_grad() = torch::tensor({{0.1f, 0.2f}, {-0.3f, 0.4f}}) * scale;
    bias.mutable_grad() = torch::tensor({0.5f, -0.25f}) * scale;
  }
};

StepSettings settings(const std::string& optimiser) {
  StepSettings s;
  s.optimiser = optimiser;
  s.weight_decay = 0.1;
  s.momentum = 0.9;
  return s;
}

// The update written out in float64 from the paper (Loshchilov and Hutter 2019, algorithm 2).
double adamw(double w, const std::vector<double>& gradients, double rate, double decay) {
  double m = 0, v = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double g = gradients[i], t = static_cast<double>(i + 1);
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    w -= rate * (m / (1 - std::pow(0.9, t)) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8) + decay * w);
  }
  return w;
}

double nesterov(double w, const std::vector<double>& gradients, double rate, double decay) {
  double momentum = 0;
  for (const double gradient : gradients) {
    const double g = gradient + decay * w;
    momentum = 0.9 * momentum + g;
    w -= rate * (g + 0.9 * momentum);
  }
  return w;
}

double plain_descent(double w, const std::vector<double>& gradients, double rate, double decay) {
  for (const double gradient : gradients) w -= rate * (gradient + decay * w);
  return w;
}

using Rule = double (*)(double, const std::vector<double>&, double, double);

void expect_follows(const StepSettings& settings, Rule rule) {
  Weights weights;
  Optimiser optimiser(weights.set(), settings);
  for (const double scale : {1.0, -2.0, 0.5}) {
    weights.set_gradients(scale);
    optimiser.step(0.01);
  }
  // float32 against float64 over three steps: a few units in the last place of numbers near 1.
  EXPECT_NEAR(weights.matrix[0][1].item<double>(), rule(-1.5, {0.2, -0.4, 0.1}, 0.01, 0.1), 2e-6);
  EXPECT_NEAR(weights.matrix[1][0].item<double>(), rule(2.0, {-0.3, 0.6, -0.15}, 0.01, 0.1), 2e-6);
  EXPECT_NEAR(weights.bias[0].item<double>(), rule(1.0, {0.5, -1.0, 0.25}, 0.01, 0.0), 2e-6);
}

TEST(AdamW, FollowsThePublishedUpdateAndSparesBiasesTheDecay) { expect_follows(settings("adamw"), adamw); }

TEST(Sgd, FollowsNesterovsUpdateAndSparesBiasesTheDecay) { expect_follows(settings("sgd"), nesterov); }

TEST(Sgd, GoesStraightDownWithoutMomentum) {
  auto plain = settings("sgd");
  plain.momentum = 0;
  expect_follows(plain, plain_descent);
  Weights weights;
  EXPECT_EQ(Optimiser(weights.set(), plain).state().size(), 2u) << "two counts of steps";
}

TEST(OptimiserState, CarriesOverToAnotherOptimiser) {
  for (const auto* name : {"adamw", "sgd"}) {
    Weights a, b;
    Optimiser first(a.set(), settings(name)), second(b.set(), settings(name));
    a.set_gradients(1);
    first.step(0.01);
    {
      torch::NoGradGuard no_grad;
      b.matrix.copy_(a.matrix);
      b.bias.copy_(a.bias);
    }
    const auto from = first.state(), to = second.state();
    ASSERT_EQ(from.size(), to.size());
    for (size_t i = 0; i < from.size(); ++i) to[i].second.copy_(from[i].second);
    a.set_gradients(2);
    b.set_gradients(2);
    first.step(0.01);
    second.step(0.01);
    EXPECT_TRUE(torch::equal(a.matrix, b.matrix)) << name;
    EXPECT_TRUE(torch::equal(a.bias, b.bias)) << name;
  }
}

TEST(MovingAverage, SwapsBackToTheSameBytes) {
  torch::nn::Linear module(3, 2);
  MovingAverage average(*module, 0.9);
  {
    torch::NoGradGuard no_grad;
    module->weight.add_(1);
  }
  average.update();
  const auto before = module->weight.clone();
  average.swap();
  EXPECT_FALSE(torch::equal(module->weight, before));
  average.swap();
  EXPECT_TRUE(torch::equal(module->weight, before));
}

// First update: the decay is held at (1 + 1) / (10 + 1).
TEST(MovingAverage, ForgetsTheStartingWeights) {
  torch::nn::Linear module(1, 1);
  torch::NoGradGuard no_grad;
  module->weight.fill_(0);
  MovingAverage average(*module, 0.999);
  module->weight.fill_(1);
  average.update();
  average.swap();
  EXPECT_NEAR(module->weight.item<double>(), 1 - 2.0 / 11, 1e-6);
}

StepSettings schedule_settings(const std::string& schedule, double warmup_epochs) {
  StepSettings s;
  s.schedule = schedule;
  s.epochs = 10;
  s.learning_rate = 2;
  s.warmup_epochs = warmup_epochs;
  return s;
}

TEST(LearningRate, OfACosineFallsFromThePeakToNothing) {
  const LearningRateSchedule schedule(schedule_settings("cosine", 0), 100);
  EXPECT_DOUBLE_EQ(schedule.at(0), 2);
  EXPECT_NEAR(schedule.at(500), 1, 1e-12);
  EXPECT_LT(schedule.at(999), 1e-4);
}

TEST(LearningRate, RisesLinearlyDuringWarmUp) {
  const LearningRateSchedule schedule(schedule_settings("cosine", 1), 100);
  EXPECT_NEAR(schedule.at(0), 2.0 / 101, 1e-12);
  EXPECT_NEAR(schedule.at(99), 2.0 * 100 / 101, 1e-12);
  EXPECT_DOUBLE_EQ(schedule.at(100), 2);
}

TEST(LearningRate, OfOneCycleRisesForThreeTenthsUnlessToldOtherwise) {
  const LearningRateSchedule usual(schedule_settings("one-cycle", 0), 100),
      told(schedule_settings("one-cycle", 5), 100);
  EXPECT_NEAR(usual.at(0), 2.0 / 25, 1e-12);
  EXPECT_DOUBLE_EQ(usual.at(300), 2);
  EXPECT_DOUBLE_EQ(told.at(500), 2);
  EXPECT_LT(usual.at(999), 1e-4);
}

TEST(LearningRate, OfAConstantStays) {
  const LearningRateSchedule schedule(schedule_settings("constant", 0), 100);
  EXPECT_EQ(schedule.at(0), 2);
  EXPECT_EQ(schedule.at(999), 2);
}

// A layer keeps what its kernels made of the weight until that changes (KeptWeights); each step has to tell it.
TEST(Optimiser, IsNoticedByWhatIsKeptOfAWeight) {
  for (const std::string name : {"adamw", "sgd"}) {
    torch::manual_seed(1);
    Convolution layer({16, 16, 3, 1}, /*with_bias=*/false);
    torch::nn::init::normal_(layer.weight);
    ParameterSet set;
    set.parameters.emplace_back("weight", layer.weight);
    Optimiser optimiser(set, settings(name));
    const auto x = torch::randn({2, 16, 8, 8}).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto evaluate = [&] {
      torch::NoGradGuard no_grad;
      return layer.forward(x);
    };
    const auto before = evaluate();
    layer.forward(x).square().sum().backward();
    optimiser.step(0.1);
    torch::NoGradGuard no_grad;
    const auto after = evaluate();
    EXPECT_FALSE(torch::equal(after, before)) << name;
    EXPECT_TRUE(torch::equal(after, conv_bias(x, layer.weight, {}, 1, {}, false))) << name;
  }
}

}  // namespace
}  // namespace mfi
