// A run whose steps are processes, several at once.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/run_folder.h"
#include "mfi/pipeline/runner.h"

namespace mfi {

/// Compute threads that each step of a run has, by its name: see threads_of_steps. With one job, all
/// have runtime.threads, else OMP_NUM_THREADS, else one a core.
std::map<std::string, int64_t> step_threads(const Recipe& recipe, const Plan& plan, int64_t jobs);

/// Runs every step that is not done, each with options.step_command, at most options.jobs at once.
///
/// The records in `folder` must have been read. A step that fails keeps those that need it from
/// running; all others go on to their end, and then the first failure is thrown with its exit code,
/// naming the step. A stop is passed on to all; what they have saved by then stays.
void run_side_by_side(const Recipe& recipe, const Plan& plan, RunFolder& folder, const RunOptions& options,
                      RunObserver& observer);

}  // namespace mfi
