#include "mfi/search/finalists.h"

#include <gmock/gmock.h>

#include <cmath>

namespace mfi {
namespace {

using testing::IsEmpty;

// Four stages of five candidates, each dearer and less harmful than the one before; the last is the teacher's.
ChoiceTable table() {
  ChoiceTable out;
  out.costs.resize(1);
  out.costs[0].fixed = 1;
  for (double scale : {1.0, 2.0, 4.0, 8.0}) {
    out.damage.push_back({});
    out.costs[0].of.push_back({});
    for (int i = 0; i < 5; ++i) {
      out.damage.back().push_back((4 - i) * (5 - i) / scale);
      out.costs[0].of.back().push_back(scale * (1 + 3 * i));
    }
  }
  return out;
}

TEST(Finalists, AreAtMostSoManyByRisingCostAndNeverTheTeacher) {
  const auto found = finalists(table(), 9);
  ASSERT_EQ(found.size(), 9u);
  for (size_t i = 0; i < found.size(); ++i) {
    if (i > 0) {
      EXPECT_GT(found[i].costs[0], found[i - 1].costs[0]);
    }
    EXPECT_GT(found[i].damage, 0);
  }
}

// None that is left out is farther from all of them than they are from each other.
TEST(Finalists, SpreadFromTheCheapestOn) {
  const auto found = finalists(table(), 5);
  const auto best = best_choices(table());
  EXPECT_EQ(found.front().costs[0], best.front().costs[0]);
  const auto distance = [](const Choice& a, const Choice& b) { return std::abs(std::log(a.costs[0] / b.costs[0])); };
  double apart = INFINITY;
  for (size_t i = 1; i < found.size(); ++i) apart = std::min(apart, distance(found[i], found[i - 1]));
  for (const auto& choice : best) {
    double nearest = INFINITY;
    for (const auto& each : found) nearest = std::min(nearest, distance(choice, each));
    if (choice.damage > 0) {  // not the teacher
      EXPECT_LE(nearest, apart + 1e-9);
    }
  }
}

TEST(Finalists, LieToHalfNextBelowTheBudget) {
  auto limited = table();
  limited.costs[0].budget = 80;
  const auto found = finalists(limited, 8);
  const auto within = best_choices(limited);
  for (size_t i = 0; i < 4; ++i) {
    const auto& expected = within[within.size() - 1 - i].candidates;
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [&](const auto& f) { return f.candidates == expected; })) << i;
  }
}

TEST(Finalists, AreNeverTheTeacherEvenWhereTheBudgetIsAllOfIt) {
  auto limited = table();
  limited.costs[0].budget = 1e9;
  for (const auto& choice : finalists(limited, 8)) EXPECT_GT(choice.damage, 0);
}

TEST(Finalists, AreNoneWhereNothingIsWithinTheBudget) {
  auto limited = table();
  limited.costs[0].budget = 3;
  EXPECT_THAT(finalists(limited, 8), IsEmpty());
}

TEST(Finalists, AreNoMoreThanThereAre) {
  ChoiceTable small;
  small.damage = {{3, 1, 0}};
  small.costs = {{{{1, 2, 3}}}};
  EXPECT_EQ(finalists(small, 8).size(), 2u);
}

// Candidates 1 and 3 of each stage are as if they were free of damage, so that by damage alone nothing else is chosen.
TEST(FinalistsOfBoth, AreHalfOfThoseThatDamageWouldNotChoose) {
  auto limited = table();
  limited.costs[0].budget = 120;
  std::vector<std::vector<bool>> some;
  for (auto& stage : limited.damage) {
    stage[1] = stage[3] = 1e-3;
    some.push_back({true, false, true, false, true});
  }
  const auto is_of_some = [&](const Choice& choice) {
    for (size_t stage = 0; stage < some.size(); ++stage)
      if (!some[stage][choice.candidates[stage]]) return false;
    return true;
  };
  EXPECT_LT(std::ranges::count_if(finalists(limited, 8), is_of_some), 4) << "then there is nothing to mend";
  const auto found = finalists_of_both(limited, some, 8);
  EXPECT_EQ(found.size(), 8u);
  EXPECT_GE(std::ranges::count_if(found, is_of_some), 4);
  for (const auto& choice : found) {
    const auto same = evaluate_choice(limited, choice.candidates);
    EXPECT_EQ(choice.damage, same.damage);
    EXPECT_EQ(choice.costs, same.costs);
  }
  for (size_t i = 1; i < found.size(); ++i) EXPECT_LE(found[i - 1].costs[0], found[i].costs[0]);
}

TEST(FinalistsOfBoth, AreTheBestWithinTheBudgetWhereThereIsRoomForOne) {
  auto limited = table();
  limited.costs[0].budget = 80;
  const std::vector<std::vector<bool>> some(4, {true, false, true, false, true});
  const auto found = finalists_of_both(limited, some, 1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].candidates, best_choices(limited).back().candidates);
}

// Where damage alone chooses nothing else than these, both halves would be the same.
TEST(FinalistsOfBoth, AreNoFewerWhereBothHalvesWouldBeTheSame) {
  auto limited = table();
  limited.costs[0].budget = 80;
  std::vector<std::vector<bool>> some;
  for (auto& stage : limited.damage) {
    stage[1] = 1e6;
    some.push_back({true, false, true, true, true});
  }
  const auto found = finalists_of_both(limited, some, 12);
  EXPECT_EQ(found.size(), 12u);
  for (size_t i = 1; i < found.size(); ++i) EXPECT_NE(found[i].candidates, found[i - 1].candidates);
  limited.costs[0].budget = 3;
  EXPECT_THAT(finalists_of_both(limited, some, 12), IsEmpty());
}

TEST(FinalistsOfBoth, AreTheFinalistsWhereThereIsOneKind) {
  const std::vector<std::vector<bool>> all(4, std::vector<bool>(5, true));
  const auto one = finalists_of_both(table(), all, 8), other = finalists(table(), 8);
  ASSERT_EQ(one.size(), other.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].candidates, other[i].candidates);
}

TEST(FinalistsOfBoth, KeepWhatNeighboursDoToEachOther) {
  auto paired = table();
  for (size_t stage = 0; stage + 1 < 4; ++stage) {
    paired.pairs.emplace_back(5, std::vector<double>(5, 0.0));
    for (size_t a = 0; a < 5; ++a)
      for (size_t b = 0; b < 5; ++b) paired.pairs[stage][a][b] = static_cast<double>(10 * a + b) / 100;
  }
  const std::vector<std::vector<bool>> some(4, {false, true, true, false, true});
  const auto found = finalists_of_both(paired, some, 6);
  ASSERT_EQ(found.size(), 6u);
  for (const auto& choice : found) EXPECT_DOUBLE_EQ(choice.damage, evaluate_choice(paired, choice.candidates).damage);
}

}  // namespace
}  // namespace mfi
