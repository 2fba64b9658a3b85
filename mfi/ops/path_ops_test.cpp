#include "mfi/ops/path_ops.h"

#include <gtest/gtest.h>

#include "mfi/ops/test_difference.h"

namespace mfi {
namespace {

struct Shape {
  int64_t samples, channels, height, width, with_derivative;
};

// Whole vectors and remainders; all, some and none of the samples with a derivative.
constexpr Shape kShapes[] = {{8, 16, 32, 32, 2}, {5, 3, 3, 5, 5}, {1, 1, 1, 1, 0}, {3, 104, 4, 4, 1}, {2, 7, 9, 2, 0}};

struct Inputs {
  torch::Tensor u, z0, z1, derivative, t, step, upstream;

  Inputs(const Shape& s, torch::Dtype type) {
    torch::manual_seed(2);
    const auto tensor = [&](int64_t samples) {
      return torch::randn({samples, s.channels, s.height, s.width})
          .to(torch::kBFloat16)
          .to(type)
          .contiguous(torch::MemoryFormat::ChannelsLast);
    };
    u = tensor(s.samples).requires_grad_();
    z0 = tensor(s.samples);
    z1 = tensor(s.samples).requires_grad_();
    derivative = tensor(s.with_derivative);
    t = torch::rand({s.samples}, torch::kFloat64);
    step = torch::rand({s.with_derivative}, torch::kFloat64);
    upstream = torch::rand({s.samples}) + 0.5;
  }
};

class PathOps : public testing::TestWithParam<std::pair<torch::Dtype, double>> {};

TEST_P(PathOps, InterpolateAsTheReferenceDoes) {
  const auto [type, tolerance] = GetParam();
  for (const auto& shape : kShapes) {
    Inputs ours(shape, type), reference(shape, torch::kFloat64);
    const auto a = interpolate_samples(ours.z0, ours.z1, ours.t);
    const auto b = interpolate_samples_reference(reference.z0, reference.z1, reference.t);
    EXPECT_EQ(a.scalar_type(), type);
    EXPECT_LT(largest_difference(a, b), tolerance);
    (a * ours.u.detach()).sum().backward();
    (b * reference.u.detach()).sum().backward();
    EXPECT_LT(largest_difference(ours.z1.grad(), reference.z1.grad()), tolerance);
  }
}

TEST_P(PathOps, MeasureTheVelocitysErrorAsTheReferenceDoes) {
  const auto [type, tolerance] = GetParam();
  for (const auto& shape : kShapes) {
    Inputs ours(shape, type), reference(shape, torch::kFloat64);
    const auto a = velocity_error(ours.u, ours.z0, ours.z1, ours.derivative, ours.step);
    const auto b =
        velocity_error_reference(reference.u, reference.z0, reference.z1, reference.derivative, reference.step);
    EXPECT_EQ(a.scalar_type(), torch::kFloat32);
    EXPECT_LT(largest_difference(a, b), tolerance);
    (a * ours.upstream).sum().backward();
    (b * reference.upstream).sum().backward();
    EXPECT_LT(largest_difference(ours.u.grad(), reference.u.grad()), tolerance);
    EXPECT_LT(largest_difference(ours.z1.grad(), reference.z1.grad()), tolerance);
  }
}

TEST_P(PathOps, TakeTheVelocityForConstantWhereItIsDetached) {
  Inputs inputs(kShapes[0], GetParam().first);
  velocity_error(inputs.u, inputs.z0, inputs.z1.detach(), inputs.derivative, inputs.step).sum().backward();
  EXPECT_TRUE(inputs.u.grad().defined());
  EXPECT_FALSE(inputs.z1.grad().defined());
}

INSTANTIATE_TEST_SUITE_P(Types, PathOps,
                         testing::Values(std::pair(torch::kFloat32, 1e-5), std::pair(torch::kBFloat16, 2e-2)));

// Which the passes would read as what they are not.
TEST(PathOpsReference, ServesFeaturesOfTwoTypes) {
  Inputs inputs(kShapes[0], torch::kFloat32);
  const auto u = inputs.u.detach().to(torch::kBFloat16);
  EXPECT_LT(largest_difference(velocity_error(u, inputs.z0, inputs.z1, inputs.derivative, inputs.step),
                               velocity_error_reference(u, inputs.z0, inputs.z1, inputs.derivative, inputs.step)),
            1e-6);
}

TEST(PathOpsReference, HasAClosedForm) {
  const auto f64 = torch::kFloat64;
  const auto number = [&](double x) { return torch::full({1, 1, 1, 1}, x, f64); };
  const auto one = [&](double x) { return torch::full({1}, x, f64); };
  EXPECT_NEAR(interpolate_samples(number(2), number(6), one(0.25)).item<double>(), 3, 1e-12);
  // 10 - ((6 - 2) - 0.5 * 3) = 7.5
  EXPECT_NEAR(velocity_error(number(10), number(2), number(6), number(3), one(0.5)).item<double>(), 7.5 * 7.5, 1e-12);
}

}  // namespace
}  // namespace mfi
