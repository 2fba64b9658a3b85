#include "mfi/search/judgement.h"

#include <gmock/gmock.h>

#include "mfi/core/error.h"

namespace mfi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

SearchPoint point(const std::string& name, int64_t parameters, int64_t macs, double milliseconds, double held_out) {
  SearchPoint out;
  out.name = name;
  out.parameters = parameters;
  out.macs = macs;
  out.milliseconds = milliseconds;
  out.held_out_percent = held_out;
  return out;
}

SearchResults made_up() {
  SearchResults out;
  out.teacher = point("teacher", 1000, 100, 10, 90);
  out.points = {point("a", 500, 20, 9, 88), point("b", 300, 60, 4, 89), point("c", 100, 70, 2, 85),
                point("d", 300, 50, 5, 87)};
  return out;
}

std::vector<std::string> names(const SearchResults& results, bool SearchPoint::*mark) {
  std::vector<std::string> out;
  for (const auto& point : results.points)
    if (point.*mark) out.push_back(point.name);
  return out;
}

TEST(Judge, DrawsTheFrontOverTheFirstTargetsCost) {
  auto by_parameters = made_up();
  judge(by_parameters, {}, std::nullopt);
  EXPECT_THAT(names(by_parameters, &SearchPoint::on_front), ElementsAre("c", "b"));
  EXPECT_EQ(by_parameters.chosen(), nullptr);
  auto by_macs = made_up();
  judge(by_macs, {{SearchTarget::Kind::macs, 1}}, std::nullopt);
  EXPECT_THAT(names(by_macs, &SearchPoint::on_front), ElementsAre("a", "b"));
}

TEST(Judge, AllowsADropThatIsJustAsLarge) {
  SearchResults results;
  results.teacher.held_out_percent = 63.0;
  results.points = {point("a", 500, 20, 9, 62.4)};
  ASSERT_GT(63.0 - 62.4, 0.6) << "as numbers";
  judge(results, {}, 0.6);
  EXPECT_TRUE(results.chosen());
  results.points[0].chosen = false;
  judge(results, {}, 0.59);
  EXPECT_FALSE(results.chosen());
}

TEST(Judge, ChoosesTheMostAccurateWithinAllTargets) {
  auto results = made_up();
  judge(results, {{SearchTarget::Kind::parameters, 0.3}}, std::nullopt);
  EXPECT_THAT(names(results, &SearchPoint::chosen), ElementsAre("b"));
  results = made_up();
  judge(results, {{SearchTarget::Kind::parameters, 0.3}, {SearchTarget::Kind::macs, 0.5}}, std::nullopt);
  EXPECT_THAT(names(results, &SearchPoint::chosen), ElementsAre("d"));
  results = made_up();
  judge(results, {{SearchTarget::Kind::latency, 0.1}}, std::nullopt);
  EXPECT_EQ(results.chosen(), nullptr);
}

TEST(Judge, ChoosesTheSmallestThatLosesLittleEnough) {
  auto results = made_up();
  judge(results, {}, 2);
  EXPECT_THAT(names(results, &SearchPoint::chosen), ElementsAre("b"));
  results = made_up();
  judge(results, {}, 0.5);
  EXPECT_EQ(results.chosen(), nullptr);
}

std::string missed_text(const SearchResults& results, const std::vector<SearchTarget>& targets,
                        std::optional<double> max_drop) {
  try {
    require_chosen(results, targets, max_drop);
  } catch (const MissedError& error) {
    return error.what();
  }
  return "";
}

TEST(Judge, SaysWhatIsNearestWhereNothingIsAsGoodAsWasAsked) {
  auto results = made_up();
  judge(results, {}, 0.5);
  EXPECT_THAT(missed_text(results, {}, 0.5),
              StartsWith("--max-drop 0.5: none of the networks that were fine-tuned is within it; b is nearest, with "
                         "30.0 % of the parameters, 60.0 % of the MACs and 40.0 % of the time, 1.00 points behind the "
                         "teacher. Ask for less"));
  results = made_up();
  const std::vector<SearchTarget> small{{SearchTarget::Kind::latency, 0.1}, {SearchTarget::Kind::macs, 0.1}};
  judge(results, small, std::nullopt);
  EXPECT_THAT(missed_text(results, small, std::nullopt), StartsWith("--target latency=0.1 --target macs=0.1: none"));
  EXPECT_THAT(missed_text(results, small, std::nullopt), HasSubstr("; d is nearest"))
      << "5 times both, others 6 and more";
  // Within the target, but not as good as it should be: the size is not what is missing.
  results = made_up();
  judge(results, {{SearchTarget::Kind::parameters, 0.3}}, 0.5);
  EXPECT_THAT(missed_text(results, {{SearchTarget::Kind::parameters, 0.3}}, 0.5),
              HasSubstr("--max-drop 0.5: none of the networks that were fine-tuned is within it; b is nearest"));
}

TEST(Judge, MissesNothingWhereSomethingWasChosenOrNothingAskedFor) {
  auto results = made_up();
  judge(results, {}, std::nullopt);
  EXPECT_EQ(missed_text(results, {}, std::nullopt), "");
  judge(results, {}, 2);
  EXPECT_EQ(missed_text(results, {}, 2), "");
}

TEST(SearchTarget, IsReadOrRefused) {
  EXPECT_EQ(parse_target("params=0.3").share, 0.3);
  EXPECT_EQ(parse_target("macs=1").kind, SearchTarget::Kind::macs);
  EXPECT_EQ(parse_target("latency=0.5").kind, SearchTarget::Kind::latency);
  for (const auto* text : {"", "params", "params=", "params=0", "params=1.5", "params=0.3x", "flops=0.3", "params=nan"})
    EXPECT_THROW(parse_target(text), UsageError) << text;
}

}  // namespace
}  // namespace mfi
