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

double distance(const Choice& a, const Choice& b) { return std::abs(std::log(a.costs[0] / b.costs[0])); }

}  // namespace

std::vector<Choice> finalists(const ChoiceTable& table, size_t count) {
  const bool has_budget =
      std::any_of(table.costs.begin(), table.costs.end(), [](const auto& cost) { return cost.budget.has_value(); });
  std::vector<Choice> out;
  if (has_budget) {
    const auto within = best_but_the_teacher(table);
    if (within.empty()) return {};
    for (size_t i = within.size(); i > 0 && 2 * out.size() < count; --i) out.push_back(within[i - 1]);
  }
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
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.costs[0] < b.costs[0]; });
  return out;
}

}  // namespace mfi
