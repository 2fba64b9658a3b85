// A run's progress as text.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "mfi/pipeline/runner.h"
#include "mfi/report/live_area.h"
#include "mfi/report/run_state.h"
#include "mfi/report/terminal.h"

namespace mfi {

enum class ProgressStyle {
  live,   // a list of the steps that is drawn over and over again; for terminals
  plain,  // lines: one an epoch, and one every 30 s at most in between; for files
  none,   // nothing but what a step reached
};

/// How a console is written to.
struct ConsoleSettings {
  ProgressStyle style = ProgressStyle::plain;
  std::function<TerminalSize()> size = [] { return TerminalSize{}; };  // asked again for each live drawing
  bool colour = false, unicode = false;                                // of live drawings
  double plain_seconds = 30;               // at least this long between two plain lines of one epoch
  double live_seconds = 0.1;               // between two live drawings
  int64_t jobs = 1;                        // steps that may run at once
  std::map<std::string, int64_t> threads;  // of each step, where they differ
  bool only_some = false;                  // of the plan's steps are run
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;  // for tests
};

/// Writes to a stream what happens in a run, of one step after another or of several at once.
class ConsoleObserver : public RunObserver {
 public:
  /// training_images: seen in an epoch. The stream must outlive this.
  ConsoleObserver(std::ostream& out, Plan plan, int64_t training_images, ConsoleSettings settings = {});
  ~ConsoleObserver() override;  // leaves the last state standing: this is also how an interrupted run ends

  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override;
  void on_step_done(const StepResult& result, bool was_already_done) override;
  void on_step_failed(const std::string& step, const std::string& text) override;
  void on_progress(const Progress& progress) override;
  void on_epoch(const std::string& step, const Metrics& row) override;
  void on_message(const std::string& text) override;

 private:
  bool is_live() const { return settings_.style == ProgressStyle::live; }
  std::string progress_text(const Progress& progress) const;  // a plain line
  void print(const std::string& line);
  void draw();

  std::ostream& out_;
  ConsoleSettings settings_;
  RunState state_;
  LiveArea area_;
  bool is_drawn_ = false;
  std::map<std::string, std::chrono::steady_clock::time_point> last_line_;  // plain, of each step
  std::chrono::steady_clock::time_point last_drawn_{};
};

/// Details of a mapping, one line a stage:
/// "stage1: relative error 0.310 in 1 step, 0.280 in 2 steps; swapped in 85.30 %".
std::vector<std::string> detail_lines(const Metrics& details);

}  // namespace mfi
