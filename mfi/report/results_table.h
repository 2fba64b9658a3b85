// The table at the end of a run.
#pragma once

#include <string>

#include "mfi/pipeline/results.h"

namespace mfi {

/// Networks in rows, controls below a rule, then where the numbers come from, then the verdict.
/// Shares are of the step "teacher". ASCII; ends with a newline.
std::string results_table(const RunResults& results);

}  // namespace mfi
