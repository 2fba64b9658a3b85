// Several runs beside each other.
#pragma once

#include <string>
#include <vector>

#include "mfi/pipeline/results.h"
#include "mfi/report/run_report.h"

namespace mfi {

struct ComparedRun {
  std::string name;  // that tells it from the others
  RunResults results;
  std::vector<RecipeLine> recipe;
  std::string recipe_missing;  // why there is none; "": there is
};

/// A key of the recipe that is not the same in all runs; the name of the run is none.
struct RecipeDifference {
  std::string key;
  std::vector<std::string> values;  // one a run; "" where its recipe is missing or lacks the key
};

std::vector<RecipeDifference> recipe_differences(const std::vector<ComparedRun>& runs);

/// For a terminal: the networks of each run, with shares of and differences to its own teacher, and the keys in which
/// the recipes differ. ASCII but for what the runs' own names hold.
std::string comparison_text(const std::vector<ComparedRun>& runs);

/// The same as a page, with accuracy against size of all.
std::string comparison_page(const std::vector<ComparedRun>& runs);

}  // namespace mfi
