// How progress and metrics leave the Trainer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mfi {

/// Named numbers in a fixed order: one row of metrics.csv.
using Metrics = std::vector<std::pair<std::string, double>>;

/// Where a step of the pipeline stands.
struct Progress {
  std::string step;               // "teacher"
  int64_t epoch = 0, epochs = 0;  // epoch counts from 1
  int64_t batch = 0, batches = 0;
  double loss = 0;               // running mean of this epoch
  double accuracy_percent = -1;  // on this epoch's training batches; -1 when there is none
  double images_per_second = 0;
  double seconds_left_in_step = 0;
};

/// Watches a run. Called on the training thread; must not throw.
class Observer {
 public:
  virtual ~Observer() = default;
  /// Several times a second.
  virtual void on_progress(const Progress&) {}
  /// What a step does from now on: "load", "train", "evaluate" or "save".
  virtual void on_phase(const std::string& step, const std::string& phase) {}
  /// After each epoch, with its row of metrics.
  virtual void on_epoch(const std::string& step, const Metrics& row) {}
  /// A sentence for the user: "resuming at epoch 3 of 24".
  virtual void on_message(const std::string& text) {}
};

}  // namespace mfi
