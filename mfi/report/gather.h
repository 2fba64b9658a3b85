// Reads what report.html says from a run folder.
#pragma once

#include <filesystem>
#include <string>

#include "mfi/data/dataset.h"
#include "mfi/pipeline/recipe.h"
#include "mfi/report/run_report.h"

namespace mfi {

struct GatherOptions {
  std::string no_latency;             // why latency shall not be measured; "": it shall
  const Dataset* test = nullptr;      // the run's test images
  std::string no_test = "not given";  // why there are none
};

/// Throws NotFoundError or DataError when there is no results.json that can be read; all else that is missing or
/// damaged is left out, with the reason.
RunReport gather_report(const std::filesystem::path& run, const GatherOptions& options);

/// The recipe of a run, as lines that say what differs from the default.
std::vector<RecipeLine> recipe_lines(const Recipe& recipe);

/// The test images of a run's recipe, opened anew: nothing is decoded or kept before it is asked for. Errors as
/// open_data.
Dataset open_test_images(const Recipe& recipe, const std::filesystem::path& folder);

}  // namespace mfi
