#include "mfi/ops/weight_gradient.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mfi/core/torch.h"

namespace mfi {

std::ostream& operator<<(std::ostream& out, const Conv3x3Shape& s) {
  return out << s.batch << " x " << s.in << " -> " << s.out << " channels, " << s.height << " x " << s.width
             << ", stride " << s.stride;
}

namespace {

// Every 3x3 layer of ResNet-34 at width 16, some of its flow stages and of the full width; then odd sizes,
// batches that threads share unequally, and channels that leave registers half full.
constexpr Conv3x3Shape kShapes[] = {
    {16, 16, 16, 32, 32, 1}, {16, 16, 32, 32, 32, 2}, {16, 32, 32, 16, 16, 1}, {16, 32, 64, 16, 16, 2},
    {16, 64, 64, 8, 8, 1},   {16, 64, 128, 8, 8, 2},  {16, 128, 128, 4, 4, 1}, {16, 26, 26, 16, 16, 1},
    {16, 104, 104, 4, 4, 1}, {9, 256, 256, 8, 8, 1},  {70, 64, 64, 4, 4, 1},   {1, 8, 5, 1, 1, 1},
    {1, 9, 3, 2, 3, 2},      {2, 17, 9, 7, 5, 1},     {3, 20, 7, 9, 6, 2},     {1, 40, 8, 3, 1, 1}};

class WeightGradient : public testing::TestWithParam<Conv3x3Shape> {
 protected:
  void SetUp() override {
    if (!has_weight_gradient_kernel(GetParam())) GTEST_SKIP() << "this machine has no AVX512-BF16";
    torch::manual_seed(1);
    const auto& s = GetParam();
    const auto tensor = [](torch::IntArrayRef sizes) {
      return torch::randn(sizes).to(torch::kBFloat16).contiguous(torch::MemoryFormat::ChannelsLast);
    };
    x = tensor({s.batch, s.in, s.height, s.width});
    dy = tensor({s.batch, s.out, s.out_height(), s.out_width()});
  }
  torch::Tensor run() const {
    const auto& s = GetParam();
    auto out = torch::full({s.out, s.in, 3, 3}, NAN).contiguous(torch::MemoryFormat::ChannelsLast);
    weight_gradient(s, static_cast<const uint16_t*>(x.const_data_ptr()),
                    static_cast<const uint16_t*>(dy.const_data_ptr()), out.mutable_data_ptr<float>());
    return out;
  }
  torch::Tensor x, dy;
};

TEST_P(WeightGradient, IsTheExactOneButForRounding) {
  const auto& s = GetParam();
  const auto f64 = torch::kFloat64;
  auto weight = torch::zeros({s.out, s.in, 3, 3}, f64).requires_grad_();
  (at::conv2d(x.to(f64), weight, {}, {s.stride, s.stride}, {1, 1}) * dy.to(f64)).sum().backward();
  const auto ours = run().to(f64);
  EXPECT_LT(((ours - weight.grad()).abs().max() / weight.grad().abs().max()).item<double>(), 1e-4);
}

TEST_P(WeightGradient, GivesTheSameBitsAgain) { EXPECT_TRUE(torch::equal(run(), run())); }

INSTANTIATE_TEST_SUITE_P(Shapes, WeightGradient, testing::ValuesIn(kShapes));

// As after ReLU: no sum stays near zero.
TEST(WeightGradientKernel, KeepsItsPrecisionOverManyPixelsOfOneSign) {
  const Conv3x3Shape s{128, 16, 16, 32, 32, 1};
  if (!has_weight_gradient_kernel(s)) GTEST_SKIP() << "this machine has no AVX512-BF16";
  torch::manual_seed(1);
  const auto tensor = [&] {
    return torch::randn({s.batch, s.in, s.height, s.width})
        .relu()
        .to(torch::kBFloat16)
        .contiguous(torch::MemoryFormat::ChannelsLast);
  };
  const auto x = tensor(), dy = tensor();
  auto ours = torch::empty({s.out, s.in, 3, 3}).contiguous(torch::MemoryFormat::ChannelsLast);
  weight_gradient(s, static_cast<const uint16_t*>(x.const_data_ptr()),
                  static_cast<const uint16_t*>(dy.const_data_ptr()), ours.mutable_data_ptr<float>());
  const auto f64 = torch::kFloat64;
  auto weight = torch::zeros({s.out, s.in, 3, 3}, f64).requires_grad_();
  (at::conv2d(x.to(f64), weight, {}, {1, 1}, {1, 1}) * dy.to(f64)).sum().backward();
  EXPECT_LT(((ours.to(f64) - weight.grad()).abs().max() / weight.grad().abs().max()).item<double>(), 1e-4);
}

TEST(WeightGradientKernel, IsNotForImagesOfThreeChannels) {
  EXPECT_FALSE(has_weight_gradient_kernel({128, 3, 16, 32, 32, 1}));
}

}  // namespace
}  // namespace mfi
