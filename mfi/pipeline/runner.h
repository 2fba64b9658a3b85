// Carries a plan out in a run folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mfi/distributed/processes.h"
#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/results.h"
#include "mfi/train/observer.h"

namespace mfi {

/// What a run tells while it goes on, beside what its steps tell.
class RunObserver : public Observer {
 public:
  /// remaining: the steps that are probably still to be run, this one first.
  virtual void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) {}
  virtual void on_step_done(const StepResult& result, bool was_already_done) {}
};

struct RunOptions {
  std::filesystem::path out;       // the run folder
  std::filesystem::path data;      // where the dataset lies; empty for the sample
  std::vector<std::string> force;  // steps to run again although they are done
  Processes* processes = nullptr;  // those that run the recipe together
};

/// Runs every step of the recipe that is not done yet and writes results.json.
///
/// Each step has a folder with model.safetensors, metrics.csv and step.json. step.json records a
/// fingerprint of settings, data and input models; a step is done when it matches. A step that was
/// interrupted goes on from its last epoch. Holds the run folder's lock. Throws any Error.
///
/// With several processes all call this together, with the same recipe. The run folder is the first one's
/// alone: it decides what is to be done, and hands models and states to the others, whose results are empty.
RunResults run_pipeline(const Recipe& recipe, const RunOptions& options, RunObserver& observer);

/// The results of the steps that are done in a run folder, in the plan's order.
RunResults collect_results(const std::filesystem::path& out);

}  // namespace mfi
