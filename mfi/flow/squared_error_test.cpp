#include "mfi/flow/squared_error.h"

#include "mfi/nn/gradient_check.h"

namespace mfi {
namespace {

TEST(MeanSquarePerSample, MatchesTheDefinition) {
  const auto difference = torch::randn({3, 4, 2, 2}, torch::kFloat64);
  const auto expected = difference.square().mean({1, 2, 3});
  EXPECT_TRUE(torch::allclose(mean_square_per_sample(difference), expected, 1e-14, 1e-14));
}

TEST(MeanSquarePerSample, HasTheRightGradient) {
  auto difference = torch::randn({3, 4}, torch::kFloat64).requires_grad_(true);
  const auto weights = torch::rand({3}, torch::kFloat64);
  expect_right_gradients([&] { return (mean_square_per_sample(difference) * weights).sum(); },
                         {{"difference", difference}});
}

// A norm's own gradient would be 0 / 0 here.
TEST(MeanSquarePerSample, HasAZeroGradientWhereThereIsNoError) {
  const auto difference = torch::zeros({2, 3}).requires_grad_(true);
  mean_square_per_sample(difference).sum().backward();
  EXPECT_TRUE(torch::equal(difference.grad(), torch::zeros({2, 3})));
}

TEST(MeanSquarePerSample, SumsBfloat16InFloat32) {
  const auto difference = torch::ones({1, 100000}).to(torch::kBFloat16);
  const auto error = mean_square_per_sample(difference);
  EXPECT_EQ(error.scalar_type(), torch::kFloat32);
  // A sum kept in bfloat16 would stop growing at 256; float32 rounds pairwise sums by less than 1e-5.
  EXPECT_NEAR(error.item<double>(), 1.0, 1e-5);
}

}  // namespace
}  // namespace mfi
