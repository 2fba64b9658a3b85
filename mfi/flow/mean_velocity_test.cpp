#include "mfi/flow/mean_velocity.h"

#include <gtest/gtest.h>
#include <torch/optim.h>

#include "mfi/core/error.h"
#include "mfi/flow/path.h"
#include "mfi/flow/squared_error.h"
#include "mfi/flow/time_schedule.h"
#include "mfi/nn/gradient_check.h"

namespace mfi {
namespace {

const auto f64 = torch::kFloat64;

/// u = slope_z z + slope_t t.
class LinearField : public VelocityField {
 public:
  LinearField(double slope_z, double slope_t) : slope_z_(slope_z), slope_t_(slope_t) {}
  torch::Tensor operator()(const torch::Tensor& z, const torch::Tensor&, const torch::Tensor& t) const override {
    return slope_z_ * z + slope_t_ * t.unsqueeze(1);
  }

 private:
  double slope_z_, slope_t_;
};

/// The mean velocity of dz/dt = rate z: z_r = z_t exp(-rate (t - r)).
class LinearOdeMean : public VelocityField {
 public:
  explicit LinearOdeMean(double rate) : rate_(rate) {}
  torch::Tensor operator()(const torch::Tensor& z, const torch::Tensor& r, const torch::Tensor& t) const override {
    return z * (-torch::expm1(-rate_ * (t - r)) / (t - r)).unsqueeze(1);
  }

 private:
  double rate_;
};

VelocityNetwork random_network(int64_t channels) {
  FlowArch arch;
  arch.hidden = 6;
  arch.depth = 2;
  VelocityNetwork network(channels, arch, 0);
  randomise(network, 2);
  return network;
}

struct Sample {
  torch::Tensor z, v, r, t;
};

Sample random_sample(int64_t n = 4) {
  torch::manual_seed(3);
  return {torch::randn({n, 3, 4, 4}, f64), torch::randn({n, 3, 4, 4}, f64), torch::rand({n}, f64) * 0.5,
          torch::rand({n}, f64) * 0.5 + 0.5};
}

// u = 2z + 3t, so du/dt along the path is 2v + 3 and the target is exact.
TEST(MeanVelocityTarget, MatchesTheClosedFormOfALinearField) {
  const LinearField u(/*slope_z=*/2, /*slope_t=*/3);
  const auto z = torch::zeros({1, 1}, f64), v = torch::full({1, 1}, 5, f64);
  const auto r = torch::full({1}, 0.25, f64), t = torch::full({1}, 0.75, f64);

  const auto target = mean_velocity_target(u, z, v, r, t);

  // 5 - (0.75 - 0.25) * (2 * 5 + 3)
  EXPECT_NEAR(target.item<double>(), -1.5, 1e-12);
}

// The identity says that a mean velocity is its own target when v is the velocity it is the mean of.
TEST(MeanVelocityTarget, IsTheFieldItselfForATrueMeanVelocity) {
  const LinearOdeMean u(/*rate=*/1.7);
  const auto z = torch::randn({5, 2}, f64);
  const auto r = torch::linspace(0, 0.4, 5, f64), t = torch::linspace(0.5, 1, 5, f64);
  EXPECT_TRUE(torch::allclose(mean_velocity_target(u, z, 1.7 * z, r, t), u(z, r, t), 1e-12, 1e-12));
}

TEST(MeanVelocityTarget, AgreesWithCentralDifferences) {
  const auto network = random_network(3);
  const NetworkField u(network);
  const auto [z, v, r, t] = random_sample();
  torch::NoGradGuard no_grad;

  const double h = 1e-5;  // truncation near 1e-10, rounding near 1e-11
  const auto along = (u(z + h * v, r, t + h) - u(z - h * v, r, t - h)) / (2 * h);
  const auto expected = v - per_sample(t - r, z) * along;

  EXPECT_TRUE(torch::allclose(mean_velocity_target(u, z, v, r, t), expected, 1e-8, 1e-8));
}

TEST(MeanVelocityTarget, EqualsThePathVelocityWhenRIsT) {
  const auto network = random_network(3);
  const auto [z, v, r, t] = random_sample();
  EXPECT_TRUE(torch::equal(mean_velocity_target(NetworkField(network), z, v, t, t), v));
}

TEST(MeanVelocityTarget, TreatsTheLeadingSamplesAsIfTheyWereAlone) {
  const auto network = random_network(3);
  const NetworkField u(network);
  auto [z, v, r, t] = random_sample();
  r.narrow(0, 1, 3).copy_(t.narrow(0, 1, 3));
  EXPECT_TRUE(torch::allclose(mean_velocity_target(u, z, v, r, t, /*distinct=*/1), mean_velocity_target(u, z, v, r, t),
                              1e-12, 1e-12));
}

TEST(MeanVelocityTarget, LeavesSamplesAfterTheDistinctOnesOutOfTheProduct) {
  const auto network = random_network(3);
  const auto [z, v, r, t] = random_sample();
  const auto target = mean_velocity_target(NetworkField(network), z, v, r, t, /*distinct=*/1);
  EXPECT_FALSE(torch::equal(target[0], v[0]));
  EXPECT_TRUE(torch::equal(target.narrow(0, 1, 3), v.narrow(0, 1, 3)));
}

TEST(MeanVelocityTarget, LeavesVAsItIs) {
  const auto network = random_network(3);
  const auto [z, v, r, t] = random_sample();
  const auto before = v.clone();
  mean_velocity_target(NetworkField(network), z, v, r, t);
  EXPECT_TRUE(torch::equal(v, before));
}

TEST(MeanVelocityTarget, CarriesNoGradientOfTheNetworkOrOfZ) {
  const auto network = random_network(3);
  auto [z, v, r, t] = random_sample();
  z.requires_grad_(true);
  EXPECT_FALSE(mean_velocity_target(NetworkField(network), z, v, r, t).requires_grad());
}

TEST(MeanVelocityTarget, CarriesTheGradientOfVAlone) {
  const auto network = random_network(3);
  auto [z, v, r, t] = random_sample();
  v.requires_grad_(true);
  const auto weights = torch::randn_like(z);
  (mean_velocity_target(NetworkField(network), z, v, r, t) * weights).sum().backward();
  EXPECT_TRUE(torch::equal(v.grad(), weights));
}

TEST(MeanVelocityTarget, IsTheSameInFloat32) {
  auto network = random_network(3);
  const auto [z, v, r, t] = random_sample();
  const auto expected = mean_velocity_target(NetworkField(network), z, v, r, t);
  network.to(torch::kFloat32);
  const auto f32 = torch::kFloat32;
  const auto target = mean_velocity_target(NetworkField(network), z.to(f32), v.to(f32), r, t);
  EXPECT_EQ(target.scalar_type(), f32);
  // float32 rounds at 6e-8; sums over 54 inputs in three layers of values near 10.
  EXPECT_TRUE(torch::allclose(target.to(f64), expected, 1e-4, 1e-4));
}

TEST(MeanVelocityTarget, StaysCloseInBfloat16) {
  auto network = random_network(3);
  const auto [z, v, r, t] = random_sample();
  const auto expected = mean_velocity_target(NetworkField(network), z, v, r, t);
  network.to(torch::kFloat32);
  const auto bf16 = torch::kBFloat16;
  const auto target = mean_velocity_target(NetworkField(network), z.to(bf16), v.to(bf16), r, t);
  EXPECT_EQ(target.scalar_type(), bf16);
  // Each of three layers rounds weights and activations at 2^-9; a ReLU near 0 may flip.
  EXPECT_LT(((target.to(f64) - expected).norm() / expected.norm()).item<double>(), 0.03);
}

TEST(MeanVelocityTarget, RejectsVelocitiesOfAnotherShape) {
  const LinearField u(1, 1);
  EXPECT_THROW(mean_velocity_target(u, torch::zeros({2, 3}), torch::zeros({2, 4}), torch::zeros({2}), torch::ones({2})),
               ShapeError);
}

TEST(MeanVelocityTarget, RejectsTimesForAnotherNumberOfSamples) {
  const LinearField u(1, 1);
  EXPECT_THROW(mean_velocity_target(u, torch::zeros({2, 3}), torch::zeros({2, 3}), torch::zeros({2}), torch::ones({1})),
               ShapeError);
}

TEST(MeanVelocityTarget, CanBeTakenAgainAfterAFieldThatThrows) {
  class ThrowingField : public VelocityField {
    torch::Tensor operator()(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&) const override {
      throw ShapeError("no");
    }
  };
  const auto z = torch::zeros({1, 1}, f64), t = torch::ones({1}, f64), r = torch::zeros({1}, f64);
  EXPECT_THROW(mean_velocity_target(ThrowingField(), z, z, r, t), ShapeError);
  EXPECT_NO_THROW(mean_velocity_target(LinearField(1, 1), z, z, r, t));
}

// dz/dt = z carries z1 to z1 / e at time 0. The network sees nothing but that velocity at single
// points; from it the MeanFlow identity has to make averages over whole intervals.
class LinearOde : public ::testing::Test {
 protected:
  static constexpr int64_t kChannels = 1;

  static void SetUpTestSuite() {
    FlowArch flow;
    flow.kind = VelocityKind::pointwise;
    flow.hidden = 48;
    StageArch arch;
    arch.in_channels = arch.out_channels = kChannels;
    arch.body = flow;
    stage_ = std::make_shared<FlowStage>(arch, /*folded=*/false);
    torch::manual_seed(1);
    const auto& network = *stage_->velocities()[0];
    {
      torch::NoGradGuard no_grad;
      for (size_t i = 0; i < 2; ++i)
        network.convs()[i]->weight.normal_(0, std::sqrt(2.0 / static_cast<double>(network.convs()[i]->shape().in)));
      network.time_weight.uniform_(-1, 1);
      network.time_bias.uniform_(-1, 1);
    }

    const int64_t batch = 64, steps = 1200;
    TimeSchedule schedule;
    schedule.r_equals_t = 0.5;
    schedule.stddev = 2;  // wide, so that the whole interval [0, 1] is seen often enough for a short training
    torch::optim::Adam optimiser(network.parameters(), torch::optim::AdamOptions(1e-2));
    for (int64_t step = 0; step < steps; ++step) {
      RandomStream random(0, 0, static_cast<uint64_t>(step));
      const auto times = schedule.draw(batch, {}, random);
      const auto z1 = 2 * torch::rand({batch, kChannels, 4, 4}) - 1;  // 16 points a time
      const auto z = z1 * per_sample((times.t - 1).exp(), z1);
      const NetworkField u(network);
      const auto target = mean_velocity_target(u, z, /*v=*/z, times.r, times.t, times.distinct);
      for (auto& group : optimiser.param_groups())
        group.options().set_lr(1e-2 * (1 - static_cast<double>(step) / steps));
      optimiser.zero_grad();
      mean_square_per_sample(u(z, times.r, times.t) - target).mean().backward();
      optimiser.step();
    }
  }
  static void TearDownTestSuite() { stage_.reset(); }

  static double relative_error(int64_t steps) {
    torch::NoGradGuard no_grad;
    torch::manual_seed(2);
    const auto z1 = 2 * torch::rand({1000, kChannels, 1, 1}) - 1;
    const auto expected = z1 * std::exp(-1.0);
    return ((stage_->integrate(z1, steps) - expected).norm() / expected.norm()).item<double>();
  }

  static inline std::shared_ptr<FlowStage> stage_;
};

// Without the Jacobian-vector product one step would follow v = z1 at time 1 and end at 0: an error of
// 100 %. What is left here is how well 48 ReLUs trained for seconds fit the function.
TEST_F(LinearOde, IsCrossedInOneStep) { EXPECT_LT(relative_error(1), 0.03); }

TEST_F(LinearOde, IsCrossedInFourSteps) { EXPECT_LT(relative_error(4), 0.03); }

TEST_F(LinearOde, HasItsMeanVelocityFound) {
  torch::NoGradGuard no_grad;
  const auto z = torch::rand({1000, kChannels, 1, 1}) * 0.8 - 0.4;
  const auto r = torch::full({1000}, 0.2), t = torch::full({1000}, 0.6);
  const auto expected = z * (-std::expm1(-0.4) / 0.4);
  const auto found = NetworkField(*stage_->velocities()[0])(z, r, t);
  EXPECT_LT(((found - expected).norm() / expected.norm()).item<double>(), 0.03);
}

}  // namespace
}  // namespace mfi
