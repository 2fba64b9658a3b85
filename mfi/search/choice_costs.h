// What candidates cost, and whether a target can be met.
#pragma once

#include <vector>

#include "mfi/search/candidates.h"
#include "mfi/search/choice.h"
#include "mfi/search/judgement.h"
#include "mfi/search/search_results.h"

namespace mfi {

/// [stage][candidate]: names, parameters and MACs; times and divergences are not known yet.
std::vector<std::vector<CandidateResult>> candidate_costs(const Arch& teacher,
                                                          const std::vector<std::vector<Candidate>>& candidates);

/// One kind of cost for each target, in their order; without any, parameters without a budget. The last candidate of a
/// stage is the teacher's own, so that a budget is a share of their sum. teacher_milliseconds: of its parts; only
/// latency asks for them and for those of the candidates.
std::vector<ChoiceCost> choice_costs(const Arch& teacher, const std::vector<std::vector<CandidateResult>>& candidates,
                                     const std::vector<SearchTarget>& targets,
                                     const std::vector<double>& teacher_milliseconds = {});

/// costs: of these targets. Throws RecipeError where no combination is within all of them, with the least that there
/// is.
void require_reachable(const std::vector<ChoiceCost>& costs, const std::vector<SearchTarget>& targets);

}  // namespace mfi
