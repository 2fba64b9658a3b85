#include "mfi/flow/time_schedule.h"

#include <gtest/gtest.h>

namespace mfi {
namespace {

Times draw(const TimeSchedule& schedule, int64_t samples, const Interval& interval = {}, uint64_t batch = 0) {
  RandomStream random(7, 3, batch);
  return schedule.draw(samples, interval, random);
}

TEST(TimeSchedule, DrawsRNoLaterThanTWithinTheInterval) {
  const auto times = draw({}, 1000, {0.5, 1.0});
  EXPECT_TRUE((times.r <= times.t).all().item<bool>());
  EXPECT_GE(times.r.min().item<double>(), 0.5);
  EXPECT_LE(times.t.max().item<double>(), 1.0);
}

TEST(TimeSchedule, SeparatesExactlyTheStatedShareAndPutsItFirst) {
  TimeSchedule schedule;
  schedule.r_equals_t = 0.75;
  const auto times = draw(schedule, 126);  // 31.5 rounds up
  EXPECT_EQ(times.distinct, 32);
  EXPECT_TRUE((times.r < times.t).narrow(0, 0, 32).all().item<bool>());
  EXPECT_TRUE(torch::equal(times.r.narrow(0, 32, 94), times.t.narrow(0, 32, 94)));
}

TEST(TimeSchedule, CanJoinAllSamplesOrNone) {
  TimeSchedule all, none;
  all.r_equals_t = 1;
  none.r_equals_t = 0;
  EXPECT_EQ(draw(all, 10).distinct, 0);
  EXPECT_EQ(draw(none, 10).distinct, 10);
}

// Pooled, r and t are the two draws, so logit(r) and logit(t) together are N(mean, stddev).
TEST(TimeSchedule, DrawsLogitsWithTheStatedMeanAndDeviation) {
  TimeSchedule schedule;
  schedule.mean = -0.4;
  schedule.stddev = 1.3;
  schedule.r_equals_t = 0;
  const auto times = draw(schedule, 50000);
  const auto logits = torch::logit(torch::cat({times.r, times.t}));
  // Standard errors of 100000 draws: 1.3 / 316 = 0.004 and 0.003; five of them.
  EXPECT_NEAR(logits.mean().item<double>(), -0.4, 0.02);
  EXPECT_NEAR(logits.std().item<double>(), 1.3, 0.015);
}

// The larger of two independent normal numbers has mean + stddev / sqrt(pi).
TEST(TimeSchedule, TakesTForTheLargerOfTwoIndependentDraws) {
  const auto times = draw({}, 50000);
  // Standard error 0.83 / 224 = 0.004; five of them.
  EXPECT_NEAR(torch::logit(times.t).mean().item<double>(), -0.4 + 1 / std::sqrt(M_PI), 0.02);
}

TEST(TimeSchedule, ScalesTheSameDrawsIntoAModulesInterval) {
  const auto whole = draw({}, 100), part = draw({}, 100, {0.25, 0.5});
  EXPECT_TRUE(torch::allclose(part.t, 0.25 + 0.25 * whole.t, 1e-15, 1e-15));
  EXPECT_TRUE(torch::allclose(part.r, 0.25 + 0.25 * whole.r, 1e-15, 1e-15));
}

TEST(TimeSchedule, RepeatsTheDrawsOfAnAddress) {
  const auto once = draw({}, 100, {}, 5), again = draw({}, 100, {}, 5);
  EXPECT_TRUE(torch::equal(once.r, again.r));
  EXPECT_TRUE(torch::equal(once.t, again.t));
}

TEST(TimeSchedule, DrawsAnewAtAnotherAddress) {
  const auto once = draw({}, 100, {}, 5), other = draw({}, 100, {}, 6);
  EXPECT_EQ((once.t == other.t).sum().item<int64_t>(), 0);
}

TEST(TimeSchedule, DrawsForAShareWhatTheWholeBatchHasThere) {
  const TimeSchedule schedule;
  const auto draw_share = [&](const BatchShare& share) {
    RandomStream random(1, 2, 3);
    return schedule.draw(10, {}, random, share);
  };
  const auto whole = draw_share({});
  EXPECT_EQ(whole.distinct, 3);  // round(0.25 * 10)
  for (const int64_t index : {0, 1}) {
    const auto half = draw_share({index, 2});
    EXPECT_EQ(half.distinct, index == 0 ? 2 : 1);
    EXPECT_TRUE(torch::equal(half.t, whole.t.slice(0, index, 10, 2)));
    EXPECT_TRUE(torch::equal(half.r, whole.r.slice(0, index, 10, 2)));
  }
}

}  // namespace
}  // namespace mfi
