#include "mfi/search/choice_costs.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"

namespace mfi {
namespace {

// As if nothing did any damage: then the least cost alone decides.
ChoiceTable harmless(const std::vector<ChoiceCost>& costs) {
  ChoiceTable out;
  out.costs = costs;
  for (const auto& stage : costs[0].of) out.damage.emplace_back(stage.size(), 0);
  return out;
}

double whole_cost(const ChoiceCost& cost) {
  double out = cost.fixed;
  for (const auto& stage : cost.of) out += stage.back();
  return out;
}

// Three digits behind the point, rounded up: asked for again, it is met.
std::string share_text(double cost, const ChoiceCost& of) {
  return format("%.3f", std::ceil(1000 * cost / whole_cost(of) - 1e-9) / 1000);
}

}  // namespace

std::vector<std::vector<CandidateResult>> candidate_costs(const Arch& teacher,
                                                          const std::vector<std::vector<Candidate>>& candidates) {
  std::vector<std::vector<CandidateResult>> out;
  int64_t size = part_costs(teacher)[0].out_size;
  for (const auto& stage : candidates) {
    out.emplace_back();
    for (const auto& candidate : stage) {
      const auto cost = stage_cost(candidate.arch, size);
      out.back().push_back({candidate.name, cost.parameters, cost.macs, 0, 0});
    }
    size = stage_cost(stage.back().arch, size).out_size;
  }
  return out;
}

std::vector<ChoiceCost> choice_costs(const Arch& teacher, const std::vector<std::vector<CandidateResult>>& candidates,
                                     const std::vector<SearchTarget>& targets,
                                     const std::vector<double>& teacher_milliseconds) {
  const auto parts = part_costs(teacher);
  std::vector<ChoiceCost> out;
  for (const auto& target : targets.empty() ? std::vector<SearchTarget>{{}} : targets) {
    const auto of_part = [&](size_t part) {
      const double time = target.kind == SearchTarget::Kind::latency ? teacher_milliseconds.at(part) : 0;
      return cost_of_kind(target.kind, parts[part].parameters, parts[part].macs, time);
    };
    ChoiceCost cost;
    cost.fixed = of_part(0) + of_part(parts.size() - 1);
    for (const auto& stage : candidates) {
      cost.of.emplace_back();
      for (const auto& each : stage)
        cost.of.back().push_back(cost_of_kind(target.kind, each.parameters, each.macs, each.milliseconds));
    }
    if (!targets.empty()) cost.budget = target.share * whole_cost(cost) * kShareRounding;
    out.push_back(std::move(cost));
  }
  return out;
}

void require_reachable(const std::vector<ChoiceCost>& costs, const std::vector<SearchTarget>& targets) {
  if (costs.empty() || best_choice(harmless(costs))) return;
  for (size_t i = 0; i < costs.size(); ++i) {
    double least = costs[i].fixed;
    for (const auto& stage : costs[i].of) least += *std::min_element(stage.begin(), stage.end());
    if (least <= *costs[i].budget) continue;
    const auto share = share_text(least, costs[i]);
    throw RecipeError(
        "--target " + target_text(targets[i]) + ": no combination of candidates is within it; " +
        (targets[i].kind == SearchTarget::Kind::latency
             ? "the fastest of all takes " + share +
                   " of the teacher's time. Ask for that or more: fewer channels make small layers no faster"
             : "the smallest of all has " + share +
                   " of the teacher's. Smaller search.flow_percent or search.block_percent make smaller "
                   "candidates"));
  }
  std::vector<std::string> all;
  for (const auto& target : targets) all.push_back(target_text(target));
  auto without_first = costs;
  without_first[0].budget.reset();
  const auto within_others = best_choices(harmless(without_first));
  throw RecipeError("--target " + join(all, " --target ") +
                    ": each of them can be met, but no combination of candidates meets all of them" +
                    (within_others.empty()
                         ? ""
                         : "; within the others the least for the first is " +
                               share_text(within_others[0].costs[0], costs[0]) + " of the teacher's"));
}

}  // namespace mfi
