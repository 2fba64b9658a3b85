#include "mfi/search/finalists.h"

#include <gmock/gmock.h>

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

TEST(Finalists, SpreadFromTheCheapestOn) {
  const auto found = finalists(table(), 5);
  EXPECT_EQ(found.front().costs[0], best_choices(table()).front().costs[0]);
  EXPECT_GT(found.back().costs[0], 4 * found.front().costs[0]);
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

}  // namespace
}  // namespace mfi
