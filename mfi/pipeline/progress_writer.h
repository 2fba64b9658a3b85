// Observers that keep a run's progress files, and one that hands on to several.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mfi/pipeline/progress_file.h"
#include "mfi/pipeline/runner.h"

namespace mfi {

/// Keeps <RUN>/<step>/progress.json of the steps that this process runs itself: from a step's first batch on, at most
/// every `seconds`, and once more at the end of its last epoch. A step that is done leaves none; one that is cut off
/// leaves a last one that says so.
class StepProgressWriter : public RunObserver {
 public:
  using Now = std::function<std::chrono::steady_clock::time_point()>;

  /// only: the process runs one step (--only) and knows nothing of the run as a whole.
  StepProgressWriter(std::filesystem::path run, bool only, double seconds = 1,
                     Now now = std::chrono::steady_clock::now);
  ~StepProgressWriter() override;

  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override;
  void on_step_done(const StepResult& result, bool was_already_done) override;
  void on_progress(const Progress& progress) override;
  void on_epoch(const std::string& step, const Metrics& row) override;

 private:
  void forget_other_runs();
  void write(bool ended);

  std::filesystem::path run_;
  bool only_;
  double seconds_;
  Now now_;
  std::vector<std::string> remaining_;
  std::optional<Progress> current_;  // of the step that runs, once it has told any
  bool is_written_ = false;
  std::chrono::steady_clock::time_point last_written_;
};

/// Keeps <RUN>/progress.json for a run whose steps are processes of their own. It stays where steps have failed.
class RunProgressWriter : public RunObserver {
 public:
  RunProgressWriter(std::filesystem::path run, int64_t jobs);
  ~RunProgressWriter() override;

  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override;
  void on_step_done(const StepResult& result, bool was_already_done) override;
  void on_step_failed(const std::string& step, const std::string& text) override;

 private:
  void write();

  std::filesystem::path run_;
  RunProgressFile content_;
  bool is_written_ = false;
};

/// Tells everything to several observers, in their order.
class FanOut : public RunObserver {
 public:
  /// They must outlive this.
  explicit FanOut(std::vector<RunObserver*> observers) : observers_(std::move(observers)) {}

  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override {
    for (auto* observer : observers_) observer->on_step_start(step, remaining);
  }
  void on_step_done(const StepResult& result, bool was_already_done) override {
    for (auto* observer : observers_) observer->on_step_done(result, was_already_done);
  }
  void on_step_failed(const std::string& step, const std::string& text) override {
    for (auto* observer : observers_) observer->on_step_failed(step, text);
  }
  void on_progress(const Progress& progress) override {
    for (auto* observer : observers_) observer->on_progress(progress);
  }
  void on_phase(const std::string& step, const std::string& phase) override {
    for (auto* observer : observers_) observer->on_phase(step, phase);
  }
  void on_epoch(const std::string& step, const Metrics& row) override {
    for (auto* observer : observers_) observer->on_epoch(step, row);
  }
  void on_message(const std::string& text) override {
    for (auto* observer : observers_) observer->on_message(text);
  }

 private:
  std::vector<RunObserver*> observers_;
};

}  // namespace mfi
