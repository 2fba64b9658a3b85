// What a run tells, as lines of JSON: for other programs, and for a run whose steps are processes.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>

#include "mfi/pipeline/runner.h"

namespace mfi {

/// Writes one JSON object a line for every event, `event` first: start, phase, progress, epoch, message, done, failed.
/// docs/commands.md lists their members. Progress of a step at most every `progress_seconds`, and once more before an
/// epoch's row: steps that run side by side do not keep each other quiet.
class EventWriter : public RunObserver {
 public:
  /// The stream must outlive this.
  explicit EventWriter(std::ostream& out, double progress_seconds = 0.2,
                       std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now);

  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override;
  void on_step_done(const StepResult& result, bool was_already_done) override;
  void on_step_failed(const std::string& step, const std::string& text) override;
  void on_progress(const Progress& progress) override;
  void on_phase(const std::string& step, const std::string& phase) override;
  void on_epoch(const std::string& step, const Metrics& row) override;
  void on_message(const std::string& text) override;

 private:
  struct Throttle {
    std::optional<std::chrono::steady_clock::time_point> last_written;
    std::optional<Progress> pending;  // not written yet
  };

  void write_progress(const Progress& progress);

  std::ostream& out_;
  double progress_seconds_;
  std::function<std::chrono::steady_clock::time_point()> now_;
  std::map<std::string, Throttle> steps_;
};

/// Tells `observer` what a line of EventWriter says of a step's progress, epochs and messages; a
/// step's start and end are passed over. False when the line is not of EventWriter's.
bool replay_event(const std::string& line, Observer& observer);

}  // namespace mfi
