#include "mfi/search/choice.h"

#include <algorithm>

namespace mfi {
namespace {

// Whether nothing about `b` is better. Only the first `kinds` kinds of cost count.
bool beats_or_equals(const Choice& a, const Choice& b, size_t kinds) {
  for (size_t i = 0; i < kinds; ++i)
    if (a.costs[i] > b.costs[i]) return false;
  return a.damage <= b.damage;
}

// Of equals the first in the candidates' order stays, so that it is always the same one.
std::vector<Choice> undominated(std::vector<Choice> choices, size_t kinds) {
  std::sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    if (a.costs[0] != b.costs[0]) return a.costs[0] < b.costs[0];
    if (a.damage != b.damage) return a.damage < b.damage;
    return a.candidates < b.candidates;
  });
  std::vector<Choice> out;
  for (auto& choice : choices)
    if (std::none_of(out.begin(), out.end(), [&](const auto& kept) { return beats_or_equals(kept, choice, kinds); }))
      out.push_back(std::move(choice));
  return out;
}

double pair_damage(const ChoiceTable& table, size_t stage, size_t candidate, size_t next) {
  return table.pairs.empty() ? 0 : table.pairs[stage][candidate][next];
}

bool is_within(const ChoiceTable& table, const Choice& choice) {
  for (size_t kind = 0; kind < table.costs.size(); ++kind)
    if (table.costs[kind].budget && choice.costs[kind] > *table.costs[kind].budget) return false;
  return true;
}

Choice nothing_chosen(const ChoiceTable& table) {
  Choice out;
  for (const auto& cost : table.costs) out.costs.push_back(cost.fixed);
  return out;
}

void append(const ChoiceTable& table, Choice& choice, size_t candidate) {
  const size_t stage = choice.candidates.size();
  choice.damage += table.damage[stage][candidate];
  if (stage > 0) choice.damage += pair_damage(table, stage - 1, choice.candidates.back(), candidate);
  for (size_t kind = 0; kind < table.costs.size(); ++kind) choice.costs[kind] += table.costs[kind].of[stage][candidate];
  choice.candidates.push_back(candidate);
}

}  // namespace

Choice evaluate_choice(const ChoiceTable& table, const std::vector<size_t>& candidates) {
  auto out = nothing_chosen(table);
  for (const size_t candidate : candidates) append(table, out, candidate);
  return out;
}

std::vector<Choice> best_choices(const ChoiceTable& table) {
  std::vector<std::vector<Choice>> ends{{nothing_chosen(table)}};  // by the last stage's candidate: ways to it
  for (size_t stage = 0; stage < table.damage.size(); ++stage) {
    std::vector<std::vector<Choice>> longer;
    for (size_t candidate = 0; candidate < table.damage[stage].size(); ++candidate) {
      std::vector<Choice> ways;
      for (const auto& end : ends)
        for (auto way : end) {
          append(table, way, candidate);
          if (is_within(table, way)) ways.push_back(std::move(way));
        }
      longer.push_back(undominated(std::move(ways), table.costs.size()));
    }
    ends = std::move(longer);
  }
  std::vector<Choice> all;
  for (const auto& ways : ends) all.insert(all.end(), ways.begin(), ways.end());
  return undominated(std::move(all), 1);
}

std::optional<Choice> best_choice(const ChoiceTable& table) {
  const auto all = best_choices(table);
  return all.empty() ? std::nullopt : std::optional(all.back());
}

}  // namespace mfi
