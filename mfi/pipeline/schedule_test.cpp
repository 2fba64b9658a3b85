#include "mfi/pipeline/schedule.h"

#include <gmock/gmock.h>

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::Pair;
using testing::UnorderedElementsAre;

PlannedStep step(const std::string& name, const std::vector<std::string>& inputs = {}) {
  PlannedStep out;
  out.name = name;
  out.part_from = inputs;
  return out;
}

// The method in small, with one control: teacher, map, grow-1 and grow-2 from map, hybrid from both;
// longer only from the teacher.
Plan small_plan(bool with_control = true) {
  Plan plan;
  plan.steps = {step("teacher"), step("map", {"teacher"}), step("grow-1", {"map", "teacher"}),
                step("grow-2", {"map", "teacher"}), step("hybrid", {"grow-1", "grow-2"})};
  if (with_control) plan.steps.push_back(step("longer", {"teacher"}));
  return plan;
}

std::vector<std::string> names(const std::vector<const PlannedStep*>& steps) {
  std::vector<std::string> out;
  for (const auto* s : steps) out.push_back(s->name);
  return out;
}

class Scheduled : public testing::Test {
 protected:
  Schedule make(int64_t jobs, const std::vector<int>& cpus) {
    return {plan_, jobs, cpus, threads_of_steps(plan_, jobs, static_cast<int64_t>(cpus.size()))};
  }
  static void end(Schedule& schedule, const Plan& plan, const std::vector<std::string>& steps) {
    for (const auto& name : steps) schedule.ended(plan.step(name), true);
  }
  const Plan plan_ = small_plan();
};

TEST_F(Scheduled, HasAStepReadyWhenAllItsInputsHaveEnded) {
  auto schedule = make(2, {0, 1});
  EXPECT_THAT(names(schedule.ready()), ElementsAre("teacher"));
  end(schedule, plan_, {"teacher"});
  EXPECT_THAT(names(schedule.ready()), ElementsAre("map", "longer"));
  end(schedule, plan_, {"map", "grow-1"});
  EXPECT_THAT(names(schedule.ready()), ElementsAre("grow-2", "longer"));
  end(schedule, plan_, {"grow-2"});
  EXPECT_THAT(names(schedule.ready()), ElementsAre("hybrid", "longer"));
}

TEST_F(Scheduled, DoesNotHaveARunningStepReady) {
  auto schedule = make(2, {0, 1});
  ASSERT_TRUE(schedule.start(plan_.step("teacher")));
  EXPECT_THAT(schedule.ready(), IsEmpty());
}

TEST_F(Scheduled, RunsNoMoreAtOnceThanItMay) {
  auto schedule = make(2, {0, 1, 2, 3, 4, 5, 6, 7});
  end(schedule, plan_, {"teacher", "map"});
  ASSERT_TRUE(schedule.start(plan_.step("grow-1")));
  ASSERT_TRUE(schedule.start(plan_.step("grow-2")));
  EXPECT_FALSE(schedule.start(plan_.step("longer")));
  end(schedule, plan_, {"grow-1"});
  EXPECT_TRUE(schedule.start(plan_.step("longer")));
}

TEST_F(Scheduled, GivesEachItsOwnProcessors) {
  auto schedule = make(2, {2, 3, 8, 9});
  end(schedule, plan_, {"teacher", "map"});
  EXPECT_THAT(schedule.start(plan_.step("grow-1")), Optional(ElementsAre(2, 3)));
  EXPECT_THAT(schedule.start(plan_.step("grow-2")), Optional(ElementsAre(8, 9)));
  end(schedule, plan_, {"grow-1"});
  EXPECT_THAT(schedule.start(plan_.step("longer")), Optional(ElementsAre(2, 3)));
}

TEST_F(Scheduled, WaitsForProcessorsWhenStepsHaveMoreThreadsThanAShare) {
  Schedule schedule(plan_, 3, {0, 1, 2, 3}, threads_of_steps(plan_, 3, 4, /*fixed=*/2));
  end(schedule, plan_, {"teacher", "map"});
  ASSERT_TRUE(schedule.start(plan_.step("grow-1")));
  ASSERT_TRUE(schedule.start(plan_.step("grow-2")));
  EXPECT_FALSE(schedule.start(plan_.step("longer")));
}

TEST_F(Scheduled, RunsAStepOfMoreThreadsThanProcessorsAlone) {
  Schedule schedule(plan_, 2, {0, 1}, threads_of_steps(plan_, 2, 2, /*fixed=*/8));
  end(schedule, plan_, {"teacher"});
  EXPECT_THAT(schedule.start(plan_.step("map")), Optional(ElementsAre(0, 1)));
  EXPECT_FALSE(schedule.start(plan_.step("longer")));
}

TEST_F(Scheduled, CutsOffWhatNeedsAFailedStepAndNothingElse) {
  auto schedule = make(2, {0, 1});
  end(schedule, plan_, {"teacher"});
  schedule.ended(plan_.step("map"), false);
  EXPECT_THAT(schedule.cut_off(), ElementsAre("grow-1", "grow-2", "hybrid"));
  EXPECT_THAT(names(schedule.ready()), ElementsAre("longer"));
}

TEST(ThreadsOfSteps, AreAllCoresWhereNothingCanRunBesideAndAShareElsewhere) {
  EXPECT_THAT(threads_of_steps(small_plan(/*with_control=*/false), 2, 8),
              UnorderedElementsAre(Pair("teacher", 8), Pair("map", 8), Pair("grow-1", 4), Pair("grow-2", 4),
                                   Pair("hybrid", 8)));
  EXPECT_EQ(threads_of_steps(small_plan(), 2, 8).at("map"), 4);  // `longer` may run beside it
}

TEST(ThreadsOfSteps, AreAtLeastOne) { EXPECT_EQ(threads_of_steps(small_plan(), 4, 2).at("map"), 1); }

TEST(ThreadsOfSteps, AreWhatTheRecipeSays) {
  for (const auto& [name, threads] : threads_of_steps(small_plan(), 2, 8, /*fixed=*/3)) EXPECT_EQ(threads, 3) << name;
}

}  // namespace
}  // namespace mfi
