// One step of a run, from its input models to its own.
#pragma once

#include "mfi/data/dataset.h"
#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/results.h"
#include "mfi/pipeline/run_folder.h"
#include "mfi/train/observer.h"

namespace mfi {

/// Trains a step whose inputs are done, from its saved state where there is one, tests it, and leaves
/// model and record in its folder, whose lock it holds meanwhile. anew: without the saved state.
/// Throws BusyError when another process runs the same step, and what training and saving throw.
StepResult run_step(const Recipe& recipe, const Plan& plan, const DataSplits& data, const RunFolder& folder,
                    const PlannedStep& step, bool anew, Observer& observer);

}  // namespace mfi
