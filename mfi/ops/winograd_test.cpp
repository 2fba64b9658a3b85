#include "mfi/ops/winograd.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mfi/ops/tensor_access.h"
#include "mfi/ops/test_difference.h"

namespace mfi {

std::ostream& operator<<(std::ostream& out, const Conv3x3Shape& s) {
  return out << s.batch << " x " << s.in << " -> " << s.out << " channels, " << s.height << " x " << s.width;
}

namespace {

// The layers of ResNet-34 on which it is used, at widths 16 and 64, and of flow stages; then odd sizes, single
// pixels, channels that leave registers half full, numbers of output registers that make unequal blocks, and tiles for
// several pieces, with few channels and with many.
constexpr Conv3x3Shape kShapes[] = {
    {4, 32, 32, 16, 16, 1}, {4, 64, 64, 8, 8, 1},    {7, 128, 128, 4, 4, 1},  {2, 64, 64, 32, 32, 1},
    {3, 256, 256, 8, 8, 1}, {5, 512, 512, 4, 4, 1},  {4, 50, 50, 8, 8, 1},    {4, 104, 104, 4, 4, 1},
    {2, 421, 421, 4, 4, 1}, {1, 32, 32, 1, 1, 1},    {2, 33, 47, 5, 3, 1},    {1, 16, 16, 3, 7, 1},
    {2, 3, 5, 9, 2, 1},     {1, 40, 80, 6, 7, 1},    {2, 80, 144, 3, 3, 1},   {1, 1, 1, 2, 2, 1},
    {1, 600, 70, 5, 5, 1},  {37, 64, 32, 15, 11, 1}, {75, 64, 32, 15, 11, 1}, {20, 208, 130, 15, 13, 1}};

class WinogradTest : public testing::Test {
 protected:
  static torch::Tensor channels_last(const torch::Tensor& t) { return t.contiguous(torch::MemoryFormat::ChannelsLast); }

  template <class Make>
  static torch::Tensor on_threads(int count, const Make& make) {
    const int before = at::get_num_threads();
    at::set_num_threads(count);
    const auto made = make();
    at::set_num_threads(before);
    return made;
  }

  template <class T>
  void SetUpFor() {
    // The kernel is right on every shape, whether it pays there or not.
    if (!has_winograd_weight_gradient({1, 64, 64, 8, 8, 1}, sizeof(T))) GTEST_SKIP() << "this machine lacks AVX-512";
  }

  // Values are exact in bfloat16, so that only what the kernel itself rounds is seen.
  static torch::Tensor values(torch::IntArrayRef sizes) {
    return channels_last(torch::randn(sizes).to(torch::kBFloat16).to(torch::kFloat32));
  }

  // tolerance: of every value, relative to the largest; noise: root mean square, relative to the standard deviation.
  static void expect_near(const torch::Tensor& result, const torch::Tensor& exact, double tolerance, double noise,
                          const Conv3x3Shape& s) {
    EXPECT_LT(largest_difference(result, exact), tolerance) << s;
    if (exact.numel() < 100) return;  // too few to tell
    const auto error = (result.to(exact.scalar_type()) - exact).square().mean().sqrt() / exact.std();
    EXPECT_LT(error.item<double>(), noise) << s;
  }

  template <class T>
  static torch::Tensor run(const Conv3x3Shape& s, const torch::Tensor& x, const torch::Tensor& weight, ConvUse use,
                           const torch::Tensor& bias = {}, const torch::Tensor& shortcut = {}, bool relu = false) {
    const auto type = sizeof(T) == 2 ? torch::kBFloat16 : torch::kFloat32;
    const auto typed = channels_last(x.to(type)), typed_shortcut = shortcut.defined() ? shortcut.to(type) : shortcut;
    auto y = channels_last(torch::full({s.batch, s.out, s.height, s.width}, NAN, type));
    const auto laid_out = torch::empty({winograd_weight_size<T>(s)}, torch::kInt32);
    winograd_lay_out_weight<T>(s, data<float>(weight), use, mutable_data<uint32_t>(laid_out));
    winograd_conv<T>(s, data<T>(typed), data<uint32_t>(laid_out), {data<float>(bias), data<T>(typed_shortcut), relu},
                     mutable_data<T>(y));
    return y;
  }

  template <class T>
  static void expect_exact_but_for_rounding(const Conv3x3Shape& s, double tolerance, double noise) {
    torch::manual_seed(1);
    const auto x = values({s.batch, s.in, s.height, s.width}), weight = values({s.out, s.in, 3, 3});
    const auto shortcut = values({s.batch, s.out, s.height, s.width}), bias = torch::randn({s.out});
    const auto f64 = torch::kFloat64;
    const auto exact = at::conv2d(x.to(f64), weight.to(f64), {}, 1, 1);
    expect_near(run<T>(s, x, weight, ConvUse::forward), exact, tolerance, noise, s);
    const auto ended = (exact + bias.to(f64).view({1, -1, 1, 1}) + shortcut.to(f64)).relu();
    expect_near(run<T>(s, x, weight, ConvUse::forward, bias, shortcut, true), ended, tolerance, noise, s);

    // The layer whose result has s.in channels, and the gradient of its input.
    const auto layer = values({s.in, s.out, 3, 3});
    auto input = torch::zeros({s.batch, s.out, s.height, s.width}, f64).requires_grad_();
    (at::conv2d(input, layer.to(f64), {}, 1, 1) * x.to(f64)).sum().backward();
    expect_near(run<T>(s, x, layer, ConvUse::gradient), input.grad(), tolerance, noise, s);
  }

  template <class T>
  static torch::Tensor run_weight_gradient(const Conv3x3Shape& s, const torch::Tensor& x, const torch::Tensor& dy) {
    const auto type = sizeof(T) == 2 ? torch::kBFloat16 : torch::kFloat32;
    const auto typed_x = channels_last(x.to(type)), typed_dy = channels_last(dy.to(type));
    auto gradient = channels_last(torch::full({s.out, s.in, 3, 3}, NAN));
    winograd_weight_gradient<T>(s, data<T>(typed_x), data<T>(typed_dy), mutable_data<float>(gradient));
    return gradient;
  }

  template <class T>
  static void expect_exact_weight_gradient(const Conv3x3Shape& s, double tolerance, double noise) {
    torch::manual_seed(3);
    const auto x = values({s.batch, s.in, s.height, s.width}).relu(), dy = values({s.batch, s.out, s.height, s.width});
    const auto f64 = torch::kFloat64;
    auto weight = torch::zeros({s.out, s.in, 3, 3}, f64).requires_grad_();
    (at::conv2d(x.to(f64), weight, {}, 1, 1) * dy.to(f64)).sum().backward();
    for (const int count : {1, 3}) {
      const auto run_once = [&] { return on_threads(count, [&] { return run_weight_gradient<T>(s, x, dy); }); };
      const auto gradient = run_once();
      expect_near(gradient, weight.grad(), tolerance, noise, s);
      EXPECT_TRUE(torch::equal(gradient, run_once())) << s << ", " << count << " threads";
    }
  }

  template <class T>
  static void expect_same_bits_on_any_threads(const Conv3x3Shape& s) {
    torch::manual_seed(2);
    const auto x = values({s.batch, s.in, s.height, s.width}), weight = values({s.out, s.in, 3, 3});
    const auto once = on_threads(1, [&] { return run<T>(s, x, weight, ConvUse::forward); });
    for (const int count : {1, 3})
      EXPECT_TRUE(torch::equal(once, on_threads(count, [&] { return run<T>(s, x, weight, ConvUse::forward); }))) << s;
  }
};

class Winograd : public WinogradTest, public testing::WithParamInterface<Conv3x3Shape> {};

TEST_P(Winograd, IsExactButForRoundingInFloat32) {
  SetUpFor<float>();
  if (IsSkipped()) return;
  expect_exact_but_for_rounding<float>(GetParam(), 1e-5, 1e-6);
}

TEST_P(Winograd, IsExactButForRoundingInBfloat16) {
  SetUpFor<uint16_t>();
  if (IsSkipped()) return;
  expect_exact_but_for_rounding<uint16_t>(GetParam(), 3e-2, 1.8e-2);
}

TEST_P(Winograd, GivesTheWeightsGradientInFloat32) {
  SetUpFor<float>();
  if (IsSkipped()) return;
  expect_exact_weight_gradient<float>(GetParam(), 1e-4, 1e-5);
}

TEST_P(Winograd, GivesTheWeightsGradientInBfloat16) {
  SetUpFor<uint16_t>();
  if (IsSkipped()) return;
  expect_exact_weight_gradient<uint16_t>(GetParam(), 3e-2, 1.8e-2);
}

TEST_P(Winograd, GivesTheSameBitsOnAnyNumberOfThreads) {
  SetUpFor<float>();
  if (IsSkipped()) return;
  expect_same_bits_on_any_threads<float>(GetParam());
  SetUpFor<uint16_t>();
  if (IsSkipped()) return;
  expect_same_bits_on_any_threads<uint16_t>(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Shapes, Winograd, testing::ValuesIn(kShapes));

TEST_F(WinogradTest, WeightsGradientOfManyChannelsHasTheSameBitsOnAnyNumberOfThreads) {
  SetUpFor<uint16_t>();
  if (IsSkipped()) return;
  const Conv3x3Shape s{20, 208, 208, 15, 13, 1};
  torch::manual_seed(4);
  const auto x = values({s.batch, s.in, s.height, s.width}), dy = values({s.batch, s.out, s.height, s.width});
  const auto gradient = [&] { return run_weight_gradient<uint16_t>(s, x, dy); };
  EXPECT_TRUE(torch::equal(on_threads(1, gradient), on_threads(3, gradient)));
}

TEST(WinogradKernel, IsForSixteenChannelsAndMore) {
  if (!has_winograd_weight_gradient({1, 64, 64, 8, 8, 1}, 4)) GTEST_SKIP() << "this machine lacks AVX-512";
  EXPECT_TRUE(has_winograd_conv({4, 16, 16, 8, 8, 1}, 4));
  EXPECT_TRUE(has_winograd_weight_gradient({4, 16, 32, 8, 8, 1}, 4));
}

TEST(WinogradKernel, TakesLargeTilesInBfloat16WhereTheySaveProducts) {
  EXPECT_EQ(winograd_tile({4, 16, 16, 8, 8, 1}, 2), 4);
  EXPECT_EQ(winograd_tile({4, 16, 16, 7, 7, 1}, 2), 4);
  EXPECT_EQ(winograd_tile({4, 16, 16, 2, 2, 1}, 2), 2);
  EXPECT_EQ(winograd_tile({4, 16, 16, 8, 8, 1}, 4), 2);
}

TEST(WinogradKernel, IsNotForOtherStridesNorFewChannels) {
  EXPECT_FALSE(has_winograd_conv({4, 64, 64, 8, 8, 2}, 4));
  EXPECT_FALSE(has_winograd_conv({4, 3, 64, 8, 8, 1}, 4));
  EXPECT_FALSE(has_winograd_conv({4, 64, 8, 8, 8, 1}, 2));
  EXPECT_FALSE(has_winograd_weight_gradient({4, 64, 64, 8, 8, 2}, 4));
  EXPECT_FALSE(has_winograd_weight_gradient({4, 64, 8, 8, 8, 1}, 2));
}

}  // namespace
}  // namespace mfi
