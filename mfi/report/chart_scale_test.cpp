#include "mfi/report/chart_scale.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace mfi {
namespace {

using testing::ElementsAre;

std::vector<std::string> texts(const std::vector<double>& ticks) {
  std::vector<std::string> out;
  for (const double tick : ticks) out.push_back(tick_text(tick, ticks));
  return out;
}

TEST(NiceTicks, AreRoundNumbersThatHoldBothEnds) {
  EXPECT_THAT(texts(nice_ticks(0.13, 0.87, 6)), ElementsAre("0", "0.2", "0.4", "0.6", "0.8", "1.0"));
  EXPECT_THAT(texts(nice_ticks(86, 92, 6)), ElementsAre("86", "88", "90", "92"));
  EXPECT_THAT(texts(nice_ticks(-3, 4, 6)), ElementsAre("-4", "-2", "0", "2", "4"));
}

TEST(NiceTicks, GiveASingleValueSomeRoom) {
  for (const double value : {5.0, 0.0, -2.5, 1e-12, 1e12}) {
    const auto ticks = nice_ticks(value, value, 6);
    ASSERT_GE(ticks.size(), 2) << value;
    EXPECT_LT(ticks.front(), value);
    EXPECT_GT(ticks.back(), value);
  }
}

TEST(NiceTicks, AreNeverTooMany) {
  for (const double high : {1e-9, 0.3, 7.0, 99.99, 1e15})
    for (const double low : {-5.0, -1e-9, 0.0, 0.2999})
      for (const int most : {2, 3, 7}) {
        const auto ticks = nice_ticks(low, high, most);
        // Three are the fewest around a zero within.
        EXPECT_LE(ticks.size(), static_cast<size_t>(std::max(most, 3))) << low << " " << high << " " << most;
        EXPECT_GE(ticks.size(), 2) << low << " " << high << " " << most;
      }
}

TEST(NiceTicks, LiveWithWhatIsNoNumber) {
  const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
  for (const auto& [low, high] : {std::pair(nan, nan), std::pair(nan, 3.0), std::pair(-infinite, infinite)})
    for (const double tick : nice_ticks(low, high, 5)) EXPECT_TRUE(std::isfinite(tick));
}

TEST(NiceLogTicks, AreOneTwoFiveWhereThereIsRoom) {
  EXPECT_THAT(nice_log_ticks(3e4, 9e5, 7), ElementsAre(2e4, 5e4, 1e5, 2e5, 5e5, 1e6));
}

TEST(NiceLogTicks, ArePowersOfTenWhereThereIsLess) {
  EXPECT_THAT(texts(nice_log_ticks(1'000, 50'000'000, 7)), ElementsAre("1 k", "10 k", "100 k", "1 M", "10 M", "100 M"));
}

TEST(NiceLogTicks, HoldBothEndsAndAreNeverTooMany) {
  for (const double low : {1e-8, 0.7, 1.0, 12345.0})
    for (const double times : {1.0, 3.0, 1e4, 1e12}) {
      const auto ticks = nice_log_ticks(low, low * times, 7);
      EXPECT_LE(ticks.size(), 7) << low << " " << times;
      ASSERT_GE(ticks.size(), 2) << low << " " << times;
      EXPECT_LE(ticks.front(), low * (1 + 1e-6));
      EXPECT_GE(ticks.back(), low * times * (1 - 1e-6));
    }
}

TEST(TickText, HasTheDecimalsThatTellNeighboursApart) {
  EXPECT_THAT(texts({0.5, 0.52, 0.54}), ElementsAre("0.50", "0.52", "0.54"));
  EXPECT_THAT(texts({0, 100'000, 200'000}), ElementsAre("0", "100 k", "200 k"));
  EXPECT_THAT(texts({0, 500'000, 1'000'000, 1'500'000}), ElementsAre("0", "500 k", "1 M", "1.5 M"));
}

TEST(ChartScale, PutsNumbersInTheirPlace) {
  const ChartScale scale({0, 5, 10}, 100, 0);
  EXPECT_EQ(scale.place(0), 100);
  EXPECT_EQ(scale.place(10), 0);
  EXPECT_EQ(scale.place(2.5), 75);
}

TEST(ChartScale, MayBeLogarithmic) {
  const ChartScale scale({1, 2, 4}, 0, 100, /*logarithmic=*/true);
  EXPECT_NEAR(scale.place(2), 50, 1e-9);
}

TEST(NiceTicks, AreThereForNumbersThatCanHardlyBeReckonedWith) {
  for (const auto& [low, high] : {std::pair{0.0, 4.9e-324}, {-1.7e308, 1.7e308}, {1e-310, 2e-310}, {0.0, 1.7e308}}) {
    const auto ticks = nice_ticks(low, high, 6);
    EXPECT_GE(ticks.size(), 2u);
    for (const double tick : ticks) EXPECT_TRUE(std::isfinite(tick)) << low << " " << high;
  }
}

}  // namespace
}  // namespace mfi
