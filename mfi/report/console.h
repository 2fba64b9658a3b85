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
#include "mfi/report/time_left.h"

namespace mfi {

enum class ProgressStyle {
  live,   // one line that is written over again and again; for terminals
  plain,  // lines: one an epoch, and one every 30 s at most in between; for files
  none,   // nothing but what a step reached
};

/// How a console is written to.
struct ConsoleSettings {
  ProgressStyle style = ProgressStyle::plain;
  std::function<size_t()> width = [] { return size_t{80}; };  // columns, asked again for each live line
  double plain_seconds = 30;                                  // at least this long between two plain lines of one epoch
  double live_seconds = 0.1;                                  // between two live lines
  int64_t jobs = 1;                                           // steps that may run at once
  std::map<std::string, int64_t> threads;                     // of each step, where they differ
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;  // for tests
};

/// Writes to a stream what happens in a run, of one step after another or of several at once.
class ConsoleObserver : public RunObserver {
 public:
  /// training_images: seen in an epoch. The stream must outlive this.
  ConsoleObserver(std::ostream& out, Plan plan, int64_t training_images, ConsoleSettings settings = {});
  ~ConsoleObserver() override;  // leaves the cursor on a line of its own

  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override;
  void on_step_done(const StepResult& result, bool was_already_done) override;
  void on_step_failed(const std::string& step, const std::string& text) override;
  void on_progress(const Progress& progress) override;
  void on_epoch(const std::string& step, const Metrics& row) override;
  void on_message(const std::string& text) override;

 private:
  const PlannedStep* find(const std::string& step) const;
  double work(const PlannedStep& step) const;
  std::string label(const std::string& step) const;           // "[2/8] map"
  std::string progress_text(const Progress& progress) const;  // a plain line
  std::string live_text(const Progress& progress) const;
  std::string beside_text() const;  // the live line of several steps
  double run_seconds_left() const;
  void print(const std::string& line);
  void erase_live_line();

  std::ostream& out_;
  Plan plan_;
  double training_images_;
  ConsoleSettings settings_;
  TimeLeft time_left_;
  struct Running {
    Progress last;                                       // epochs is 0 before there is any
    std::chrono::steady_clock::time_point last_written;  // a plain line
  };
  std::map<std::string, Running> running_;
  std::vector<std::string> later_;  // steps to be run after those
  std::chrono::steady_clock::time_point live_written_{};
  bool live_line_ = false;
};

/// Details of a mapping, one line a stage:
/// "stage1: relative error 0.310 in 1 step, 0.280 in 2 steps; swapped in 85.30 %".
std::vector<std::string> detail_lines(const Metrics& details);

}  // namespace mfi
