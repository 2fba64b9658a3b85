// Carries a plan out in a run folder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mfi/data/dataset.h"
#include "mfi/distributed/processes.h"
#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/results.h"
#include "mfi/train/observer.h"

namespace mfi {

/// What a run tells while it goes on, beside what its steps tell. Steps that run beside each other tell
/// by turns.
class RunObserver : public Observer {
 public:
  /// remaining: the steps that are probably still to be run, this one first; those that run beside it
  /// are among them.
  virtual void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) {}
  virtual void on_step_done(const StepResult& result, bool was_already_done) {}
  /// One of several steps at once has failed, while the others go on.
  virtual void on_step_failed(const std::string& step, const std::string& text) {}
};

/// For open_data: tells the observer of each tenth of the pictures.
DataProgress reading_messages(RunObserver& observer);

struct RunOptions {
  std::filesystem::path out;       // the run folder
  std::filesystem::path data;      // where the dataset lies; empty for the sample
  std::vector<std::string> force;  // steps to run again although they are done
  std::string only;                // run just this step; "": all of them
  // With only = "teacher": the recipe's other steps need not be possible; and where the teacher is done and the folder
  // has results of other steps too, recipe.toml and results.json stay as they are.
  bool for_search = false;
  int64_t jobs = 1;  // steps that may run at once; above 1 each is a process of its own
  // For jobs above 1: program and arguments that run one step of `out` and write events (EventWriter)
  // to standard error; forced: although it is done.
  std::function<std::vector<std::string>(const std::string& step, bool forced)> step_command;
  Processes* processes = nullptr;  // those that run the recipe together
  bool repeatable = false;         // refuse to go on where the bytes could be others than without an interruption
  OnNonfinite on_nonfinite = OnNonfinite::stop;
  // Asked before trained steps are replaced because settings or data have changed, with a sentence that says which and
  // why; false: leave everything as it is, which throws UsageError. Empty: nobody is asked.
  std::function<bool(const std::string& text)> confirm;

  bool forces(const std::string& step) const { return std::find(force.begin(), force.end(), step) != force.end(); }
};

/// Runs every step of the recipe that is not done yet and writes results.json.
///
/// RunFolder says what a step leaves and when it is done. A step that was interrupted goes on from its
/// last epoch. Holds the run folder's lock; with `only`, shares it with others that run one step, and
/// holds that step's lock. Throws any Error: NotFoundError naming the input that `only` lacks.
///
/// With several processes all call this together, with the same recipe. The run folder is the first one's
/// alone: it decides what is to be done, and hands models and states to the others, whose results are empty.
/// test: where not null, it is given the test images that the run has open at its end; none with jobs above 1, where
/// each step's process reads its own.
RunResults run_pipeline(const Recipe& recipe, const RunOptions& options, RunObserver& observer,
                        Dataset* test = nullptr);

/// The results of the steps that are done in a run folder, in the plan's order.
RunResults collect_results(const std::filesystem::path& out);

}  // namespace mfi
