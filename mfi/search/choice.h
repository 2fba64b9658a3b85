// Which candidate each stage takes: as little damage as possible for what it costs.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace mfi {

/// One kind of cost, parameters for instance. Costs of stages add up.
struct ChoiceCost {
  std::vector<std::vector<double>> of;          // [stage][candidate], at least 0
  double fixed = 0;                             // of stem and head
  std::optional<double> budget = std::nullopt;  // no choice may cost more
};

/// What is known of the candidates. Damage: how much worse the network becomes with it than the teacher is, 0 for the
/// teacher's own stage. Damages add up but for what neighbours do to each other.
struct ChoiceTable {
  std::vector<std::vector<double>> damage;  // [stage][candidate]
  /// [stage][candidate][candidate of the next stage]: what is added to the damage where both are taken; empty: nothing.
  std::vector<std::vector<std::vector<double>>> pairs;
  std::vector<ChoiceCost> costs;  // at least one
};

struct Choice {
  std::vector<size_t> candidates;  // [stage]
  double damage = 0;
  std::vector<double> costs;  // of each kind
};

/// Damage and costs of taking these.
Choice evaluate_choice(const ChoiceTable& table, const std::vector<size_t>& candidates);

/// Of all choices within the budgets those that none within them beats in damage and the first kind of cost, by rising
/// cost and so falling damage. Exact: of each candidate of a stage it keeps what no other way to it beats in any
/// respect, and damage only knows neighbours.
std::vector<Choice> best_choices(const ChoiceTable& table);

/// The one of them with the least damage; nothing where every choice is over a budget.
std::optional<Choice> best_choice(const ChoiceTable& table);

}  // namespace mfi
