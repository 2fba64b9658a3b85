// One step of a run, from its input models to its own.
#pragma once

#include "mfi/data/dataset.h"
#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/results.h"
#include "mfi/pipeline/run_folder.h"
#include "mfi/pipeline/runner.h"
#include "mfi/train/observer.h"

namespace mfi {

/// Trains a step whose inputs are done, from its saved state where there is one, tests it, and leaves
/// model and record in its folder, whose lock it holds meanwhile. A step that `options` force is trained without its
/// saved state.
/// With several processes all call this together; folder and lock are the first one's alone, models and states come
/// from it, and the others' result lacks what only a file has. Throws BusyError when another process runs the same
/// step, and what training and saving throw.
StepResult run_step(const Recipe& recipe, const Plan& plan, const DataSplits& data, const RunFolder& folder,
                    const PlannedStep& step, const RunOptions& options, Observer& observer);

}  // namespace mfi
