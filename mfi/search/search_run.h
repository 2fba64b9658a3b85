// From a trained teacher to a front of smaller networks.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mfi/pipeline/runner.h"
#include "mfi/search/judgement.h"
#include "mfi/search/search_results.h"

namespace mfi {

struct SearchOptions {
  RunOptions run;  // folder, data; its steps are the teacher's alone
  std::vector<SearchTarget> targets;
  std::optional<double> max_drop;  // points below the teacher that are allowed
};

/// The steps that a search shows, in order: teacher, candidates, tune-teacher, tune-1, ... Their Archs are the
/// teacher's: what they will be is not known before.
Plan search_plan(const Recipe& recipe, const DataShape& data);

/// Trains the teacher unless `out` has it, maps all candidates of all stages in one pass of it, scores them and their
/// pairs on held-out training images, chooses recipe.search.finalists combinations of least divergence for what they
/// cost, fine-tunes these briefly, and writes what came out to out/search: front.json, front.csv and a recipe for each
/// point, point-N.toml, which names the teacher by its file; that of the chosen one also as chosen.toml.
///
/// Test images are not looked at. Goes on where it was interrupted: each training has its states, each result its file,
/// which counts as long as recipe, data and teacher are the same. Holds the lock of out/search. Throws RecipeError
/// where no combination is within the targets.
SearchResults run_search(const Recipe& recipe, const SearchOptions& options, RunObserver& observer);

}  // namespace mfi
