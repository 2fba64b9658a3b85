#include "mfi/search/choice.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

namespace mfi {
namespace {

using testing::ElementsAre;

// Random numbers, some of them alike, for stages of 2 to 5 candidates.
ChoiceTable random_table(unsigned seed, bool with_pairs) {
  std::mt19937 random(seed);
  const auto number = [&](int below) { return static_cast<double>(random() % static_cast<unsigned>(below)); };
  ChoiceTable table;
  const size_t stages = 1 + seed % 4;
  table.costs.resize(1 + seed % 2);
  for (auto& cost : table.costs) cost.fixed = number(10);
  for (size_t stage = 0; stage < stages; ++stage) {
    const auto count = static_cast<size_t>(2 + number(4));
    table.damage.emplace_back();
    for (auto& cost : table.costs) cost.of.emplace_back();
    for (size_t i = 0; i < count; ++i) {
      table.damage.back().push_back(number(20));
      for (auto& cost : table.costs) cost.of.back().push_back(number(20));
    }
  }
  if (!with_pairs) return table;
  for (size_t stage = 0; stage + 1 < stages; ++stage) {
    table.pairs.emplace_back(table.damage[stage].size());
    for (auto& row : table.pairs.back())
      for (size_t i = 0; i < table.damage[stage + 1].size(); ++i) row.push_back(number(20) - 8);
  }
  return table;
}

// Every combination there is.
std::vector<Choice> all_choices(const ChoiceTable& table) {
  std::vector<Choice> out;
  std::vector<size_t> candidates(table.damage.size(), 0);
  for (;;) {
    out.push_back(evaluate_choice(table, candidates));
    size_t stage = 0;
    while (stage < candidates.size() && ++candidates[stage] == table.damage[stage].size()) candidates[stage++] = 0;
    if (stage == candidates.size()) return out;
  }
}

TEST(BestChoice, IsTheBestOfAllCombinationsForEveryBudget) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    auto table = random_table(seed, seed % 3 != 0);
    const auto all = all_choices(table);
    for (int budget = 0; budget < 90; budget += 3) {
      table.costs[0].budget = budget;
      if (table.costs.size() > 1) table.costs[1].budget = 60 - budget / 2;
      const auto is_within = [&](const Choice& choice) {
        for (size_t i = 0; i < choice.costs.size(); ++i)
          if (choice.costs[i] > *table.costs[i].budget) return false;
        return true;
      };
      std::optional<double> least;
      for (const auto& choice : all)
        if (is_within(choice) && (!least || choice.damage < *least)) least = choice.damage;
      const auto found = best_choice(table);
      ASSERT_EQ(found.has_value(), least.has_value()) << "seed " << seed << ", budget " << budget;
      if (!found) continue;
      EXPECT_EQ(found->damage, *least) << "seed " << seed << ", budget " << budget;
      EXPECT_TRUE(is_within(*found));
      const auto again = evaluate_choice(table, found->candidates);
      EXPECT_EQ(again.damage, found->damage);
      EXPECT_EQ(again.costs, found->costs);
    }
  }
}

TEST(BestChoices, AreAllThatCostMoreOnlyForLessDamage) {
  using Point = std::pair<double, double>;  // of the first cost and the damage
  for (unsigned seed = 0; seed < 50; ++seed) {
    const auto table = random_table(seed, true);
    std::vector<Point> all, expected, found;
    for (const auto& choice : all_choices(table)) all.emplace_back(choice.costs[0], choice.damage);
    std::sort(all.begin(), all.end());
    for (const auto& point : all)
      if (expected.empty() || point.second < expected.back().second) expected.push_back(point);
    for (const auto& choice : best_choices(table)) found.emplace_back(choice.costs[0], choice.damage);
    EXPECT_EQ(found, expected) << "seed " << seed;
  }
}

// The second candidates are better each for itself, but not beside each other.
TEST(BestChoice, MindsWhatNeighboursDoToEachOther) {
  ChoiceTable table;
  table.damage = {{2, 1}, {2, 1}};
  table.costs = {{{{1, 1}, {1, 1}}}};
  EXPECT_THAT(best_choice(table)->candidates, ElementsAre(1, 1));
  table.pairs = {{{0, 0}, {0, 5}}};
  EXPECT_EQ(best_choice(table)->damage, 3);
}

}  // namespace
}  // namespace mfi
