// Which steps of a plan may run beside each other, and on which processors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mfi/pipeline/plan.h"

namespace mfi {

/// Compute threads of each step when at most `jobs` run at once on `cores` processors.
///
/// fixed, where it is above 0, for all of them. Otherwise a step that nothing can run beside (all others
/// come before or after it) has all cores, and the others have cores / jobs each, at least one. Only
/// the plan decides, not what happens to run: the number of threads moves a result by rounding.
std::map<std::string, int64_t> threads_of_steps(const Plan& plan, int64_t jobs, int64_t cores, int64_t fixed = 0);

/// Keeps account of the steps of one run: what has ended, what runs where, what may start.
///
/// A step may start when its inputs have ended well, fewer than `jobs` run, and enough processors are
/// free; each gets processors of its own, as many as it has threads. Two programs with OpenMP that
/// share processors wait for each other's threads most of the time.
class Schedule {
 public:
  /// cpus: the processors that may be used. threads: of every step, by name. A step with more threads
  /// than there are processors runs alone. The plan must outlive this.
  Schedule(const Plan& plan, int64_t jobs, std::vector<int> cpus, std::map<std::string, int64_t> threads);

  /// Steps that have not started and whose inputs have all ended well, in the plan's order.
  std::vector<const PlannedStep*> ready() const;

  /// Starts a ready step: the processors that are now its own; nothing when there is no room yet.
  std::optional<std::vector<int>> start(const PlannedStep& step);

  /// A ready step turns out to be done, or a running one has ended.
  void ended(const PlannedStep& step, bool well);

  int64_t threads(const PlannedStep& step) const { return threads_.at(step.name); }

  /// Steps that cannot run any more, because one that they need has failed.
  std::vector<std::string> cut_off() const;

 private:
  enum class State { waiting, running, done, failed };
  bool needs_failed(const PlannedStep& step) const;

  const Plan& plan_;
  int64_t jobs_;
  size_t cpu_count_;
  std::vector<int> free_;  // processors, ascending
  std::map<std::string, int64_t> threads_;
  std::map<std::string, State> states_;
  std::map<std::string, std::vector<int>> running_;  // processors by step
};

}  // namespace mfi
