// How long the rest of a run will take.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mfi/pipeline/plan.h"

namespace mfi {

/// Work of training one image in a step, in multiply-accumulates; only ratios of it mean anything.
///
/// Forward once for every part; backward for what stands after the first part that learns, and once
/// more for the weights of those that do. Writing an activation counts kMacsPerActivation, since batch
/// norm, ReLU and addition take more of a step than the products do.
/// teacher: the Arch of the network that teaches the step; nullptr for none.
double work_per_image(const PlannedStep& step, const Arch* teacher);

/// Learns how fast this machine is from the steps so far, and tells how long others will take.
class TimeLeft {
 public:
  /// A step of which `images` were trained in `seconds`; replaces what was known of it.
  void measured(const std::string& step, StepKind kind, double work_per_image, double images, double seconds);

  /// Seconds for `images` of such a step: by the speed of steps of the same kind where there are any,
  /// else of all. Negative when nothing has been measured.
  double seconds(StepKind kind, double work_per_image, double images) const;

 private:
  struct Measured {
    StepKind kind;
    double work = 0, seconds = 0;
  };
  std::map<std::string, Measured> steps_;
};

/// A step that is running or still to come.
struct PendingStep {
  std::string name;
  double seconds = 0;  // that it still takes
  bool running = false;
  std::vector<std::string> inputs;  // those that are not pending are done
};

/// Seconds until all of these have ended when at most `jobs` run at once, those first that stand first.
double seconds_until_done(const std::vector<PendingStep>& steps, int64_t jobs);

}  // namespace mfi
