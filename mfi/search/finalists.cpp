#include "mfi/search/finalists.h"

#include <algorithm>
#include <cmath>

namespace mfi {
namespace {

bool taken(const std::vector<Choice>& choices, const Choice& choice) {
  return std::any_of(choices.begin(), choices.end(),
                     [&](const auto& other) { return other.candidates == choice.candidates; });
}

// The best choices, but for the teacher itself, which needs no choosing.
std::vector<Choice> best_but_the_teacher(const ChoiceTable& table) {
  auto out = best_choices(table);
  std::erase_if(out, [&](const Choice& choice) {
    for (size_t stage = 0; stage < choice.candidates.size(); ++stage)
      if (choice.candidates[stage] + 1 != table.damage[stage].size()) return false;
    return true;
  });
  return out;
}

// `table` without the candidates that are not `some`, and which ones are left: [stage][index there] -> index in
// `table`.
ChoiceTable restricted(const ChoiceTable& table, const std::vector<std::vector<bool>>& some,
                       std::vector<std::vector<size_t>>& left) {
  left.assign(some.size(), {});
  for (size_t stage = 0; stage < some.size(); ++stage)
    for (size_t i = 0; i < some[stage].size(); ++i)
      if (some[stage][i]) left[stage].push_back(i);
  const auto pick = [&](const std::vector<double>& row, size_t stage) {
    std::vector<double> out;
    for (const auto i : left[stage]) out.push_back(row[i]);
    return out;
  };
  ChoiceTable out;
  for (size_t stage = 0; stage < left.size(); ++stage) out.damage.push_back(pick(table.damage[stage], stage));
  for (size_t stage = 0; stage < table.pairs.size(); ++stage) {
    out.pairs.emplace_back();
    if (table.pairs[stage].empty()) continue;
    for (const auto i : left[stage]) out.pairs.back().push_back(pick(table.pairs[stage][i], stage + 1));
  }
  for (const auto& cost : table.costs) {
    out.costs.push_back({{}, cost.fixed, cost.budget});
    for (size_t stage = 0; stage < left.size(); ++stage) out.costs.back().of.push_back(pick(cost.of[stage], stage));
  }
  return out;
}

double distance(const Choice& a, const Choice& b) { return std::abs(std::log(a.costs[0] / b.costs[0])); }

// `out`, filled up to `count` with the finalists of the table that it does not hold yet. within: the best choices
// within its budgets.
void add_finalists(const ChoiceTable& table, const std::vector<Choice>& within, size_t count,
                   std::vector<Choice>& out) {
  const bool has_budget =
      std::any_of(table.costs.begin(), table.costs.end(), [](const auto& cost) { return cost.budget.has_value(); });
  const size_t next_to_it = has_budget ? out.size() + (count - out.size() + 1) / 2 : out.size();
  for (size_t i = within.size(); i > 0 && out.size() < next_to_it; --i)
    if (!taken(out, within[i - 1])) out.push_back(within[i - 1]);
  // Over the first cost alone, whatever the others are.
  auto everywhere = table;
  everywhere.costs.resize(1);
  everywhere.costs[0].budget.reset();
  auto all = best_but_the_teacher(everywhere);
  for (auto& choice : all) choice = evaluate_choice(table, choice.candidates);
  if (out.empty() && !all.empty()) out.push_back(all.front());
  while (out.size() < count) {
    const Choice* farthest = nullptr;
    double most = 0;
    for (const auto& choice : all) {
      if (taken(out, choice)) continue;
      double nearest = INFINITY;
      for (const auto& other : out) nearest = std::min(nearest, distance(choice, other));
      if (!farthest || nearest > most) {
        farthest = &choice;
        most = nearest;
      }
    }
    if (!farthest) break;
    out.push_back(*farthest);
  }
}

std::vector<Choice> by_cost(std::vector<Choice> choices) {
  std::stable_sort(choices.begin(), choices.end(),
                   [](const auto& a, const auto& b) { return a.costs[0] < b.costs[0]; });
  return choices;
}

}  // namespace

std::vector<Choice> finalists(const ChoiceTable& table, size_t count) {
  const auto within = best_but_the_teacher(table);
  std::vector<Choice> out;
  if (!within.empty()) add_finalists(table, within, count, out);
  return by_cost(std::move(out));
}

std::vector<Choice> finalists_of_both(const ChoiceTable& table, const std::vector<std::vector<bool>>& some,
                                      size_t count) {
  const bool all_are = std::ranges::all_of(
      some, [](const auto& stage) { return std::ranges::all_of(stage, [](bool is_one) { return is_one; }); });
  if (all_are || count < 2) return finalists(table, count);
  const auto within = best_but_the_teacher(table);
  if (within.empty()) return {};
  std::vector<std::vector<size_t>> left;
  std::vector<Choice> out;
  for (const auto& choice : finalists(restricted(table, some, left), count / 2)) {
    auto candidates = choice.candidates;
    for (size_t stage = 0; stage < left.size(); ++stage) candidates[stage] = left[stage][candidates[stage]];
    out.push_back(evaluate_choice(table, candidates));
  }
  add_finalists(table, within, count, out);
  return by_cost(std::move(out));
}

}  // namespace mfi
