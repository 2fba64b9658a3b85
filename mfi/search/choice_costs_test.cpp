#include "mfi/search/choice_costs.h"

#include <gmock/gmock.h>

#include "mfi/core/error.h"
#include "mfi/nn/cost.h"

namespace mfi {
namespace {

using Kind = SearchTarget::Kind;
using testing::HasSubstr;

std::vector<std::vector<Candidate>> candidates_of(const Arch& teacher) {
  Recipe recipe;
  recipe.search.flow_percent = {10, 30};
  return stage_candidates(recipe, teacher);
}

TEST(CandidateCosts, AreThoseOfTheStagesWithTheTeachersLast) {
  const auto teacher = resnet_arch("resnet20", 16, 10);
  const auto found = candidate_costs(teacher, candidates_of(teacher));
  const auto parts = part_costs(teacher);
  ASSERT_EQ(found.size(), 3u);
  for (size_t stage = 0; stage < 3; ++stage) {
    EXPECT_EQ(found[stage].back().name, "all");
    EXPECT_EQ(found[stage].back().parameters, parts[stage + 1].parameters);
    EXPECT_EQ(found[stage].back().macs, parts[stage + 1].macs);
  }
}

TEST(ChoiceCosts, AddUpToTheTeachersAndGiveEachTargetItsBudget) {
  const auto teacher = resnet_arch("resnet20", 16, 10);
  auto found = candidate_costs(teacher, candidates_of(teacher));
  for (auto& stage : found)
    for (auto& each : stage) each.milliseconds = 2;
  const auto costs = choice_costs(teacher, found, {{Kind::macs, 0.5}, {Kind::latency, 0.25}}, {1, 2, 2, 2, 3});
  ASSERT_EQ(costs.size(), 2u);
  EXPECT_DOUBLE_EQ(*costs[0].budget, kShareRounding * 0.5 * static_cast<double>(total_cost(teacher).macs));
  EXPECT_DOUBLE_EQ(costs[1].fixed, 4);
  EXPECT_DOUBLE_EQ(*costs[1].budget, kShareRounding * 2.5);
  const auto unlimited = choice_costs(teacher, found, {});
  ASSERT_EQ(unlimited.size(), 1u);
  EXPECT_FALSE(unlimited[0].budget);
}

// Two stages; what is short is dear: parameters 1 with 8 ms, or 8 with 1 ms.
std::vector<ChoiceCost> contrary(double parameters, double milliseconds) {
  return {{{{1, 8, 10}, {1, 8, 10}}, 0, parameters}, {{{8, 1, 10}, {8, 1, 10}}, 0, milliseconds}};
}

std::string refusal(const std::vector<ChoiceCost>& costs, const std::vector<SearchTarget>& targets) {
  try {
    require_reachable(costs, targets);
  } catch (const RecipeError& error) {
    return error.what();
  }
  return "";
}

TEST(RequireReachable, SaysWhatTheLeastIs) {
  const std::vector<SearchTarget> targets{{Kind::parameters, 0.05}, {Kind::latency, 0.5}};
  EXPECT_THAT(refusal(contrary(1, 10), targets),
              HasSubstr("--target params=0.05: no combination of candidates is within "
                        "it; the smallest of all has 0.100 of the teacher's"));
  EXPECT_EQ(refusal(contrary(10, 10), {{Kind::parameters, 0.5}, {Kind::latency, 0.5}}), "");
}

TEST(RequireReachable, RoundsUpSoThatTheAnswerCanBeAskedFor) {
  std::vector<ChoiceCost> costs{{{{1, 3}}, 0, 0.5}};
  EXPECT_THAT(refusal(costs, {{Kind::parameters, 0.1}}), HasSubstr("0.334 of the teacher's"));
}

TEST(RequireReachable, TellsTargetsThatCannotBeMetTogether) {
  const std::vector<SearchTarget> targets{{Kind::parameters, 0.1}, {Kind::latency, 0.1}};
  EXPECT_THAT(refusal(contrary(2, 2), targets),
              HasSubstr("--target params=0.1 --target latency=0.1: each of them can be met, but no combination of "
                        "candidates meets all of them; within the others the least for the first is 0.800 of"));
}

}  // namespace
}  // namespace mfi
