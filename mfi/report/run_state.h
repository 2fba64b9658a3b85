// Where a run stands: what its observers are told, added up.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/results.h"
#include "mfi/report/run_view.h"
#include "mfi/report/time_left.h"
#include "mfi/train/observer.h"

namespace mfi {

struct RunStateSettings {
  int64_t training_images = 0;             // seen in an epoch
  int64_t jobs = 1;                        // steps that may run at once
  std::map<std::string, int64_t> threads;  // of each step, where they differ
  bool only_some = false;                  // of the plan's steps are run: --only
};

class RunState {
 public:
  RunState(Plan plan, RunStateSettings settings);

  /// remaining: steps that are probably still to be run. At the first start of a whole run, those that are neither
  /// among them nor told of are done. Where only some are run, steps of which nothing was ever told are not shown.
  void start(const std::string& step, const std::vector<std::string>& remaining);
  void expect(const std::vector<std::string>& remaining);
  void progress(const Progress& progress);
  void done(const StepResult& result, bool was_already_done);
  void fail(const std::string& step, const std::string& text);
  /// A running step does so no more.
  void stop(const std::string& step);
  void stop_all();
  void note(const std::string& step, const std::string& text);

  const Plan& plan() const { return plan_; }
  std::string label(const std::string& step) const;  // "[2/8] map"
  /// The last progress of a step; epochs is 0 before there is any.
  Progress last(const std::string& step) const;
  double seconds_left() const;  // in the run
  RunView view() const;

 private:
  const PlannedStep* find(const std::string& step) const;
  double work(const PlannedStep& step) const { return work_.at(step.name); }
  double images(const PlannedStep& step) const;
  double images_per_epoch(const PlannedStep& step) const;

  Plan plan_;
  RunStateSettings settings_;
  std::map<std::string, double> work_;  // of an image, in each step
  TimeLeft time_left_;
  std::map<std::string, StepView> steps_;  // those of which something is known
  bool has_started_ = false;
};

}  // namespace mfi
