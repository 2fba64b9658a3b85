// Where a training stands, in files that outlive it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mfi/train/checkpoint.h"
#include "mfi/train/observer.h"

namespace mfi {

/// What the batches of an epoch have come to so far.
struct EpochSums {
  std::vector<double> losses;  // of each parameter set, added up over batches
  int64_t images = 0;
  int64_t correct = -1;  // images classified right; -1 when the task does not classify
  double seconds = 0;    // spent on training, without evaluation
};

/// What the clock said of a finished epoch; apart from its metrics, which are the same in every run.
struct EpochTimes {
  double seconds = 0;  // of training, without evaluation
  double images_per_second = 0;
  double wall_time = 0;  // seconds since 1970, at its end
};

/// All of a training's state that is no tensor. Random streams are addressed by seed, epoch and index, so the place in
/// the epoch is all of theirs.
struct TrainingPosition {
  int64_t epoch = 0;          // epochs finished
  int64_t batch = 0;          // batches of the next epoch that have been trained
  EpochSums sums;             // of these
  double rate_factor = 1;     // what the schedule's learning rate is multiplied with
  int64_t rewinds = 0;        // how often it went back since something was not finite
  std::vector<Metrics> rows;  // one a finished epoch
  std::vector<EpochTimes> times;
  double seconds = 0;           // over all attempts
  double seconds_per_step = 0;  // median of the last epoch

  /// "epoch 3 of 24", "batch 17 of epoch 4 of 24": what was trained last.
  std::string text(int64_t epochs) const;
};

std::string position_to_json(const TrainingPosition& position);
TrainingPosition position_from_json(const std::string& text);

/// What a training is, so that a state of another one is not taken for its own.
struct TrainingIdentity {
  std::string fingerprint;  // of inputs and settings
  std::string family;       // the same without the number of epochs: trainings of which one may be the longer
  int64_t epochs = 0;
  std::string environment;  // program, machine and threads: what moves a result by rounding
};

/// The last two states of a training, state-a.safetensors and state-b.safetensors in its folder. Saving replaces the
/// older one, so that there is a whole one at every moment.
class StateFiles {
 public:
  explicit StateFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Replaces the older of the two files in one move. Throws IoError or CannotWriteError; the other file is as before.
  void save(const TrainingIdentity& identity, const TrainingPosition& position, const NamedTensors& tensors);

  struct Found {
    TrainingIdentity identity;  // of the training that saved it
    TrainingPosition position;
    std::filesystem::path file;
    std::string damaged;  // why the newer file was not taken; "": it was, or there was none
  };

  /// Copies the newest whole state of this training into `tensors`; nothing when there is none of it. A state of the
  /// same family counts when the training may be extended from it: it is of no more epochs. Throws
  /// CheckpointError when there are only damaged ones, or one whose tensors are others than these.
  std::optional<Found> load(const TrainingIdentity& identity, const NamedTensors& tensors);

  /// What the newest file whose header is sound says, whatever training it is of; without tensors, rows and times.
  std::optional<Found> peek() const;

  /// Whether a training may go on from such a state: it is its own, or one of its family that is of no more epochs. In
  /// the midst of a longer one the learning rate is another than it would be in this.
  static bool fits(const Found& found, const TrainingIdentity& training);

  /// Removes both files, or all but the newest.
  void remove() const;
  void keep_newest() const;

  /// Bytes that the two take now.
  uint64_t bytes() const;

 private:
  struct Slot;
  std::vector<Slot> slots() const;  // those that exist, the newest first

  std::filesystem::path folder_;
  std::string newest_;    // name of the file that must not be overwritten
  int64_t sequence_ = 0;  // of the newest one
};

/// Rewrites what people and other programs read of a training's rows: metrics.csv, metrics.jsonl,
/// events.out.tfevents.mfi (TensorBoard) and timing.csv.
void write_logs(const std::filesystem::path& folder, const TrainingPosition& position);

}  // namespace mfi
