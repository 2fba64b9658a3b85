#include "mfi/flow/path.h"

#include <gtest/gtest.h>

#include "mfi/core/error.h"

namespace mfi {
namespace {

const auto f64 = torch::kFloat64;

TEST(PathPoint, IsTheOutputAtTimeZero) {
  const auto z0 = torch::rand({2, 3, 4, 4}), z1 = torch::rand({2, 3, 4, 4});
  EXPECT_TRUE(torch::equal(path_point(z0, z1, torch::zeros({2})), z0));
}

TEST(PathPoint, IsTheAlignedInputAtTimeOne) {
  const auto z0 = torch::rand({2, 3, 4, 4}), z1 = torch::rand({2, 3, 4, 4});
  EXPECT_TRUE(torch::equal(path_point(z0, z1, torch::ones({2})), z1));
}

TEST(PathPoint, GivesEverySampleItsOwnTime) {
  const auto z0 = torch::full({2, 1}, 2.0, f64), z1 = torch::full({2, 1}, 6.0, f64);
  const auto z = path_point(z0, z1, torch::tensor({0.25, 0.75}, f64));
  EXPECT_DOUBLE_EQ(z[0].item<double>(), 3.0);  // 0.75 * 2 + 0.25 * 6
  EXPECT_DOUBLE_EQ(z[1].item<double>(), 5.0);
}

TEST(PathPoint, KeepsTheTypeOfTheFeatures) {
  const auto z0 = torch::rand({2, 3}).to(torch::kBFloat16);
  EXPECT_EQ(path_point(z0, z0, torch::rand({2}, f64)).scalar_type(), torch::kBFloat16);
}

TEST(PathPoint, RejectsOneTimeForManySamples) {
  EXPECT_THROW(path_point(torch::rand({2, 3}), torch::rand({2, 3}), torch::rand({1})), ShapeError);
}

TEST(PathVelocity, IsThePathsRateOfChange) {
  const auto z0 = torch::rand({2, 3}, f64), z1 = torch::rand({2, 3}, f64);
  const auto early = path_point(z0, z1, torch::full({2}, 0.5, f64));
  const auto late = path_point(z0, z1, torch::full({2}, 0.75, f64));
  EXPECT_TRUE(torch::allclose((late - early) / 0.25, path_velocity(z0, z1), 1e-12, 1e-12));
}

TEST(PathVelocity, RejectsFeaturesOfAnotherShape) {
  EXPECT_THROW(path_velocity(torch::rand({2, 3}), torch::rand({2, 4})), ShapeError);
}

}  // namespace
}  // namespace mfi
