#include "mfi/ops/channel_passes.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace mfi {
namespace {

template <class T>
float value(T x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return std::bit_cast<float>(static_cast<uint32_t>(x) << 16);
}

// To the nearest by way of double, where halves are exact.
template <class T>
T rounded(float x) {
  if constexpr (std::is_same_v<T, float>) return x;
  const auto bits = std::bit_cast<uint32_t>(x);
  const float down = std::bit_cast<float>(bits & 0xFFFF0000u),
              up = std::bit_cast<float>((bits & 0xFFFF0000u) + 0x10000u);
  const double below = std::abs(static_cast<double>(x) - down), above = std::abs(static_cast<double>(up) - x);
  const auto upper = static_cast<uint16_t>(bits >> 16);
  if (below != above) return below < above ? upper : static_cast<uint16_t>(upper + 1);
  return upper % 2 == 0 ? upper : static_cast<uint16_t>(upper + 1);
}

// One unit in the last place of a result of that size.
template <class T>
double step_at(double x) {
  return std::max(std::abs(x), 1e-30) * (std::is_same_v<T, float> ? 0x1p-23 : 0x1p-7);
}

struct Shape {
  int64_t pixels, channels;
};

// Channels that divide a vector, fill several, and fit none; pixels that leave a short last row.
constexpr Shape kShapes[] = {{1, 1},   {7, 3},   {64, 16},   {129, 16}, {1000, 16},
                             {33, 26}, {50, 64}, {300, 104}, {17, 130}};

// Activations of a type, on one kind of machine.
template <class Element, int64_t target>
struct On {
  using T = Element;
  static constexpr int64_t kTarget = target;
};

template <class Where>
class Passes : public testing::Test {
 protected:
  using T = typename Where::T;

  void SetUp() override {
    if ((hwy::SupportedTargets() & Where::kTarget) == 0)
      GTEST_SKIP() << "this machine has no " << hwy::TargetName(Where::kTarget);
    hwy::SetSupportedTargetsForTest(Where::kTarget);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  void TearDown() override {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }

  std::vector<T> random(int64_t count, float mean = 0) {
    std::normal_distribution<float> normal(mean, 1);
    std::vector<T> out(static_cast<size_t>(count));
    for (auto& x : out) x = rounded<T>(normal(generator_));
    return out;
  }
  std::vector<float> random_floats(int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> out(static_cast<size_t>(count));
    for (auto& x : out) x = normal(generator_);
    return out;
  }
  std::mt19937 generator_{7};
};

using Elements = testing::Types<On<float, HWY_SSE4>, On<Bf16Bits, HWY_SSE4>, On<float, HWY_AVX2>,
                                On<Bf16Bits, HWY_AVX2>, On<float, HWY_AVX3>, On<Bf16Bits, HWY_AVX3>>;
TYPED_TEST_SUITE(Passes, Elements);

TYPED_TEST(Passes, SumEveryChannel) {
  for (const auto& [pixels, channels] : kShapes) {
    const ColumnLayout layout(pixels, channels);
    const auto y = this->random(layout.values, 3);
    const auto pivot = this->random_floats(channels);
    std::vector<double> sums(static_cast<size_t>(layout.width)), squares(sums);
    add_column_sums(y.data(), layout.values, layout.width, layout.repeat(pivot.data()).data(), sums.data(),
                    squares.data());
    const auto by_channel = layout.add_up(sums), squares_by_channel = layout.add_up(squares);
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0, square = 0;
      for (int64_t p = 0; p < pixels; ++p) {
        const double v = static_cast<double>(value(y[p * channels + c])) - pivot[c];
        sum += v;
        square += v * v;
      }
      // A tile's at most 128 rows are summed up in float32.
      const double tolerance = 128 * 0x1p-24;
      EXPECT_NEAR(by_channel[c], sum, tolerance * std::sqrt(square * static_cast<double>(pixels)))
          << pixels << " x " << channels;
      EXPECT_NEAR(squares_by_channel[c], square, tolerance * square) << pixels << " x " << channels;
    }
  }
}

TYPED_TEST(Passes, ScaleShiftAddAndCutOff) {
  using Element = typename TypeParam::T;
  for (const auto& [pixels, channels] : kShapes)
    for (const bool with_shortcut : {false, true})
      for (const bool relu : {false, true}) {
        const ColumnLayout layout(pixels, channels);
        const auto y = this->random(layout.values), shortcut = this->random(layout.values);
        const auto scale = this->random_floats(channels), shift = this->random_floats(channels);
        std::vector<Element> out(y.size());
        scale_shift(y.data(), with_shortcut ? shortcut.data() : nullptr, layout.values, layout.width,
                    layout.repeat(scale.data()).data(), layout.repeat(shift.data()).data(), relu, out.data());
        for (int64_t i = 0; i < layout.values; ++i) {
          const int64_t c = i % channels;
          double expected = static_cast<double>(value(y[i])) * scale[c] + shift[c];
          if (with_shortcut) expected += value(shortcut[i]);
          const double terms = std::abs(value(y[i]) * scale[c]) + std::abs(shift[c]) + std::abs(value(shortcut[i]));
          if (relu) expected = std::max(expected, 0.0);
          // Half a step of the result, and what rounding the terms in float32 may leave of them.
          ASSERT_NEAR(value(out[i]), expected, 0.5 * step_at<Element>(expected) + terms * 0x1p-22)
              << pixels << " x " << channels << ", value " << i;
        }
      }
}

TYPED_TEST(Passes, ShiftTangentsAndCutThemOffWhereReluDid) {
  using Element = typename TypeParam::T;
  for (const auto& [pixels, channels] : kShapes) {
    const ColumnLayout layout(pixels, channels);
    const auto tangent = this->random(layout.values), relu = this->random(layout.values);
    const auto shift = this->random_floats(channels);
    std::vector<Element> out(tangent.size());
    shift_tangent(tangent.data(), relu.data(), layout.values, layout.width, layout.repeat(shift.data()).data(),
                  out.data());
    for (int64_t i = 0; i < layout.values; ++i) {
      const float sum = value(tangent[i]) + shift[i % channels];
      const double expected = value(relu[i]) > 0 ? sum : 0;
      ASSERT_NEAR(value(out[i]), expected, 0.5 * step_at<Element>(expected)) << pixels << " x " << channels;
    }
  }
}

TYPED_TEST(Passes, SumTheGradientThatReluPassed) {
  for (const auto& [pixels, channels] : kShapes)
    for (const bool relu : {false, true}) {
      const ColumnLayout layout(pixels, channels);
      const auto gradient = this->random(layout.values), out = this->random(layout.values),
                 y = this->random(layout.values, 2);
      const auto mean = this->random_floats(channels);
      std::vector<double> sums(static_cast<size_t>(layout.width)), products(sums);
      add_gradient_sums(gradient.data(), relu ? out.data() : nullptr, y.data(), layout.values, layout.width,
                        layout.repeat(mean.data()).data(), sums.data(), products.data());
      const auto by_channel = layout.add_up(sums), products_by_channel = layout.add_up(products);
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0, product = 0, size = 0;
        for (int64_t p = 0; p < pixels; ++p) {
          const int64_t i = p * channels + c;
          const double g = relu && value(out[i]) <= 0 ? 0 : value(gradient[i]);
          sum += g;
          product += g * (value(y[i]) - mean[c]);
          size += std::abs(g) + std::abs(g * (value(y[i]) - mean[c]));
        }
        EXPECT_NEAR(by_channel[c], sum, 128 * 0x1p-24 * size) << pixels << " x " << channels;
        EXPECT_NEAR(products_by_channel[c], product, 128 * 0x1p-24 * size) << pixels << " x " << channels;
      }
    }
}

TYPED_TEST(Passes, MaskTheGradientAndSumItUp) {
  using Element = typename TypeParam::T;
  for (const auto& [pixels, channels] : kShapes)
    for (const bool relu : {false, true})
      for (const bool write : {false, true}) {
        const ColumnLayout layout(pixels, channels);
        const auto gradient = this->random(layout.values), out = this->random(layout.values);
        std::vector<Element> masked(gradient.size());
        std::vector<double> sums(static_cast<size_t>(layout.width));
        mask_gradient(gradient.data(), relu ? out.data() : nullptr, layout.values, layout.width, sums.data(),
                      write ? masked.data() : nullptr);
        const auto by_channel = layout.add_up(sums);
        std::vector<double> expected(static_cast<size_t>(channels)), size(expected);
        for (int64_t i = 0; i < layout.values; ++i) {
          const float g = relu && value(out[i]) <= 0 ? 0 : value(gradient[i]);
          expected[static_cast<size_t>(i % channels)] += g;
          size[static_cast<size_t>(i % channels)] += std::abs(g);
          ASSERT_EQ(value(masked[i]), write ? g : 0) << pixels << " x " << channels << ", value " << i;
        }
        for (size_t c = 0; c < expected.size(); ++c)
          EXPECT_NEAR(by_channel[c], expected[c], 128 * 0x1p-24 * size[c]) << pixels << " x " << channels;
      }
}

TYPED_TEST(Passes, ApplyTheGradientThatReluPassed) {
  using Element = typename TypeParam::T;
  for (const auto& [pixels, channels] : kShapes)
    for (const bool relu : {false, true})
      for (const bool with_shortcut : {false, true}) {
        const ColumnLayout layout(pixels, channels);
        const auto gradient = this->random(layout.values), out = this->random(layout.values),
                   y = this->random(layout.values);
        const auto a = this->random_floats(channels), b = this->random_floats(channels),
                   c = this->random_floats(channels);
        std::vector<Element> y_gradient(y.size()), shortcut_gradient(y.size());
        apply_gradient(gradient.data(), relu ? out.data() : nullptr, y.data(), layout.values, layout.width,
                       layout.repeat(a.data()).data(), layout.repeat(b.data()).data(), layout.repeat(c.data()).data(),
                       y_gradient.data(), with_shortcut ? shortcut_gradient.data() : nullptr);
        for (int64_t i = 0; i < layout.values; ++i) {
          const int64_t k = i % channels;
          const double g = relu && value(out[i]) <= 0 ? 0 : value(gradient[i]);
          const double expected = g * a[k] + static_cast<double>(value(y[i])) * b[k] + c[k];
          const double terms = std::abs(g * a[k]) + std::abs(value(y[i]) * b[k]) + std::abs(c[k]);
          ASSERT_NEAR(value(y_gradient[i]), expected, 0.5 * step_at<Element>(expected) + terms * 0x1p-22)
              << pixels << " x " << channels << ", value " << i;
          if (with_shortcut) {
            ASSERT_EQ(value(shortcut_gradient[i]), static_cast<float>(g));
          }
        }
      }
}

TYPED_TEST(Passes, RoundToTheNearestAndTiesToEven) {
  using Element = typename TypeParam::T;
  const ColumnLayout layout(1, 64);
  const auto scale = layout.repeat(std::vector<float>(64, 0).data());
  auto shift = this->random_floats(64);
  for (size_t i = 0; i < 32; ++i)  // halfway between two bfloat16s
    shift[i] = std::bit_cast<float>((std::bit_cast<uint32_t>(shift[i]) & 0xFFFF0000u) | 0x8000u);
  const std::vector<Element> y(64);
  std::vector<Element> out(64);
  scale_shift<Element>(y.data(), nullptr, 64, 64, scale.data(), shift.data(), false, out.data());
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(value(out[i]), value(rounded<Element>(shift[i]))) << shift[i];
}

// What a diverged training is recognised by must not end in a ReLU.
TYPED_TEST(Passes, KeepWhatIsNotANumberThroughRelu) {
  using Element = typename TypeParam::T;
  const ColumnLayout layout(65, 2);  // a whole row and a short one
  const std::vector<float> ones(128, 1), zeros(128, 0);
  const std::vector<Element> y(130, rounded<Element>(std::numeric_limits<float>::infinity()));
  const std::vector<float> not_a_number(128, std::numeric_limits<float>::quiet_NaN());
  std::vector<Element> out(130);
  scale_shift<Element>(y.data(), nullptr, 130, 128, zeros.data(), zeros.data(), true, out.data());  // inf * 0
  for (const auto x : out) EXPECT_TRUE(std::isnan(value(x)));
  scale_shift<Element>(y.data(), nullptr, 130, 128, ones.data(), not_a_number.data(), true, out.data());
  for (const auto x : out) EXPECT_TRUE(std::isnan(value(x)));
}

TEST(ColumnLayout, CutsIntoRowsInWhichEveryColumnHasItsChannel) {
  for (const auto& [pixels, channels] : kShapes) {
    const ColumnLayout layout(pixels, channels);
    EXPECT_EQ(layout.width % 64, 0);
    EXPECT_EQ(layout.width % channels, 0);
    EXPECT_EQ(layout.begin(0), 0);
    EXPECT_EQ(layout.end(layout.rows()), pixels * channels);
  }
}

}  // namespace
}  // namespace mfi
