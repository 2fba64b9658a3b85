#include "mfi/report/time_left.h"

#include <gtest/gtest.h>

#include "mfi/nn/cost.h"

namespace mfi {
namespace {

PlannedStep classify_step(const Arch& arch, Learns learns) {
  PlannedStep step;
  step.arch = arch;
  step.learns.assign(arch.stages.size() + 2, learns);
  return step;
}

TEST(WorkPerImage, OfAFrozenNetworkIsAThirdAtLeastOfALearningOne) {
  const auto arch = resnet_arch("resnet20", 16, 10);
  const double frozen = work_per_image(classify_step(arch, Learns::nothing), nullptr);
  const double learning = work_per_image(classify_step(arch, Learns::all), nullptr);
  EXPECT_GT(learning, 2.5 * frozen);  // the stem needs no gradient of its input
  EXPECT_LE(learning, 3 * frozen);
}

TEST(WorkPerImage, OfOneLearningStageLiesBetween) {
  const auto arch = resnet_arch("resnet20", 16, 10);
  auto step = classify_step(arch, Learns::nothing);
  const double frozen = work_per_image(step, nullptr);
  step.learns[3] = Learns::all;
  EXPECT_GT(work_per_image(step, nullptr), frozen);
  EXPECT_LT(work_per_image(step, nullptr), work_per_image(classify_step(arch, Learns::all), nullptr));
}

TEST(WorkPerImage, CountsTheTeacherOnce) {
  const auto arch = resnet_arch("resnet20", 16, 10);
  const auto step = classify_step(arch, Learns::all);
  const double teacher = work_per_image(step, &arch) - work_per_image(step, nullptr);
  EXPECT_DOUBLE_EQ(teacher, work_per_image(classify_step(arch, Learns::nothing), nullptr));
}

TEST(TimeLeft, IsUnknownBeforeAnythingIsMeasured) { EXPECT_LT(TimeLeft().seconds(StepKind::classify, 1, 1), 0); }

TEST(TimeLeft, ScalesWithWorkAndImages) {
  TimeLeft left;
  left.measured("teacher", StepKind::classify, /*work_per_image=*/10, /*images=*/100, /*seconds=*/5);
  EXPECT_DOUBLE_EQ(left.seconds(StepKind::classify, 20, 300), 30);
}

TEST(TimeLeft, TakesTheSpeedOfStepsOfTheSameKind) {
  TimeLeft left;
  left.measured("teacher", StepKind::classify, 10, 100, 5);
  EXPECT_DOUBLE_EQ(left.seconds(StepKind::map, 10, 100), 5);  // nothing better is known
  left.measured("map", StepKind::map, 10, 100, 50);
  EXPECT_DOUBLE_EQ(left.seconds(StepKind::map, 10, 100), 50);
  EXPECT_DOUBLE_EQ(left.seconds(StepKind::classify, 10, 100), 5);
}

TEST(TimeLeft, LearnsNothingFromAStepThatTrainedNothing) {
  TimeLeft left;
  left.measured("given", StepKind::classify, 10, /*images=*/0, /*seconds=*/7);
  EXPECT_LT(left.seconds(StepKind::classify, 10, 100), 0);
  left.measured("teacher", StepKind::classify, 10, 100, 5);
  EXPECT_DOUBLE_EQ(left.seconds(StepKind::classify, 10, 100), 5);
}

TEST(SecondsUntilDone, AreTheSumWhereOneRunsAtATime) {
  EXPECT_DOUBLE_EQ(seconds_until_done({{"a", 3, true, {}}, {"b", 4, false, {"a"}}, {"c", 5, false, {"a"}}}, 1), 12);
}

// b and c after a, d after both: 3 + max(4, 5) + 2.
TEST(SecondsUntilDone, FollowTheLongestWayWhereThereIsRoomForAll) {
  const std::vector<PendingStep> steps{
      {"a", 3, true, {"done"}}, {"b", 4, false, {"a"}}, {"c", 5, false, {"a"}}, {"d", 2, false, {"b", "c"}}};
  EXPECT_DOUBLE_EQ(seconds_until_done(steps, 2), 10);
}

// Two at a time: b and c until 4, d from 4 to 9, beside it c until 5.
TEST(SecondsUntilDone, CountTheWaitForRoom) {
  EXPECT_DOUBLE_EQ(seconds_until_done({{"b", 4, true, {}}, {"c", 5, true, {}}, {"d", 5, false, {}}}, 2), 9);
}

TEST(TimeLeft, ReplacesWhatItKnewOfAStep) {
  TimeLeft left;
  left.measured("teacher", StepKind::classify, 1, 10, 100);
  left.measured("teacher", StepKind::classify, 1, 100, 100);
  EXPECT_DOUBLE_EQ(left.seconds(StepKind::classify, 1, 10), 10);
}

}  // namespace
}  // namespace mfi
