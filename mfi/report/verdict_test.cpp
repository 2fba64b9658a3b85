#include "mfi/report/verdict.h"

#include <gmock/gmock.h>

#include "mfi/report/made_up_run.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

RunResults with_control(const std::string& step, double top1_percent) {
  auto run = made_up_run();
  run.steps.push_back(made_up_control(step, top1_percent));
  return run;
}

TEST(Verdict, GivesShareAndPointsAgainstTheTeacher) {
  EXPECT_THAT(verdict(made_up_run()), HasSubstr("The hybrid has 58.0 % of the teacher's parameters; its test accuracy "
                                                "is 0.20 points better than teacher.\n"));
}

TEST(Verdict, SaysWorseWhenTheHybridIsWorse) {
  auto run = made_up_run();
  run.steps.back().test_top1_percent = 90.25;
  EXPECT_THAT(verdict(run), HasSubstr("is 0.75 points worse than teacher.\n"));
}

TEST(Verdict, ComparesWithEveryControlThatWasRun) {
  auto run = with_control("teacher-longer", 91.5);
  run.steps.push_back(made_up_control("no-mapping", 89.0));
  EXPECT_THAT(verdict(run), HasSubstr("0.20 points better than teacher, 0.30 points worse than teacher-longer and "
                                      "2.20 points better than no-mapping.\n"));
}

TEST(Verdict, IsPlainWhenNoMappingDoesAsWell) {
  EXPECT_THAT(verdict(with_control("no-mapping", 91.2)),
              HasSubstr("The control no-mapping does as well: on this network the mapping itself gained nothing.\n"));
}

TEST(Verdict, IsPlainWhenTheLongerTeacherDoesBetter) {
  EXPECT_THAT(verdict(with_control("teacher-longer", 91.9)), HasSubstr("The control teacher-longer does better: "));
}

TEST(Verdict, CallsASmallGainOneThatChanceMayGive) {
  EXPECT_THAT(verdict(with_control("no-mapping", 91.1)),
              HasSubstr("Mapping gained: 0.10 points, no more than chance may give.\n"));
}

TEST(Verdict, DoesNotSpeakOfChanceWhenTheGainIsLarge) {
  EXPECT_THAT(verdict(with_control("no-mapping", 85.0)), HasSubstr("Mapping gained: 6.20 points.\n"));
}

TEST(Verdict, IsPlainWhenADistilledResNetDoesAsWell) {
  EXPECT_THAT(verdict(with_control("distilled-resnet", 91.2)),
              HasSubstr("The control distilled-resnet does as well: plain distillation into a smaller ResNet is enough "
                        "here.\n"));
}

TEST(Verdict, SaysThatNothingIsKnownOfTheMappingWithoutControls) {
  EXPECT_THAT(verdict(made_up_run()), HasSubstr("No controls were run"));
}

TEST(Verdict, IsEmptyWithoutAHybrid) {
  auto run = made_up_run();
  run.steps.pop_back();
  EXPECT_EQ(verdict(run), "");
}

TEST(Summary, SaysInOneSentenceWhatWasAskedAndWhatCameOut) {
  EXPECT_EQ(
      summary(made_up_run()),
      "Asked to make resnet34-w16 smaller for cifar-10, mfi made a hybrid with 58.0 % of its parameters and 94.4 % "
      "of its multiply-accumulates, which classifies 91.20 % of 10000 test images correctly, 0.20 points more than "
      "its teacher, no more than chance may give.");
}

TEST(Summary, SaysWhenTheLossIsMoreThanChance) {
  auto run = made_up_run();
  run.steps.back().test_top1_percent = 80;
  EXPECT_THAT(summary(run), HasSubstr("11.00 points less than its teacher, which is more than chance may give."));
}

TEST(Summary, SaysHowFarARunWithoutAHybridIs) {
  auto run = made_up_run();
  run.steps.resize(1);
  EXPECT_EQ(
      summary(run),
      "Asked to make resnet34-w16 smaller for cifar-10, mfi has not made the hybrid yet: 1 of its steps is done.");
  run.steps.clear();
  EXPECT_THAT(summary(run), HasSubstr("no step is done."));
}

// 1.96 * sqrt(2 * 90 * 10 / 10000)
TEST(ChancePoints, IsTheIntervalOfADifferenceOfTwoShares) { EXPECT_NEAR(chance_points(90, 90, 10'000), 0.8316, 1e-4); }

}  // namespace
}  // namespace mfi
