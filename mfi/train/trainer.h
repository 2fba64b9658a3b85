// The only training loop.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mfi/data/dataset.h"
#include "mfi/distributed/processes.h"
#include "mfi/train/observer.h"
#include "mfi/train/settings.h"
#include "mfi/train/task.h"

namespace mfi {

/// One training, and where its state lives.
struct TrainJob {
  std::string step;          // name for progress and messages
  std::string section = {};  // of the recipe that its settings come from, for messages; "": the step's name
  StepSettings settings;
  RuntimeSettings runtime;
  uint64_t seed = 0;
  const Dataset* train = nullptr;
  const Dataset* validation = nullptr;  // may be nullptr or empty: no evaluation between epochs
  Normalisation normalisation;
  std::filesystem::path folder;  // states and logs go here
  std::string fingerprint;       // of inputs and settings; a state with another one is not resumed
  std::string family;            // the same without the number of epochs; "": trainings are never extended
  std::string environment;       // program, machine and threads, for a message where a state is of others
  bool repeatable = false;       // then a state of another environment is refused
  CheckpointSettings checkpoint;
  bool from_its_start = false;  // whatever states the folder has: they are of another training
  // Called once nothing speaks against the training any more, before anything of it is written; by the first process.
  std::function<void()> begin = {};
  OnNonfinite on_nonfinite = OnNonfinite::stop;
  Processes* processes = nullptr;  // those that train together, each with its share of every batch
};

struct TrainOutcome {
  std::vector<Metrics> rows;    // one an epoch
  double seconds = 0;           // spent on training, over all attempts
  double seconds_per_step = 0;  // median of the last epoch
};

/// Trains `task` to the end, from the saved state if there is one.
///
/// After each epoch, and within epochs as often as job.checkpoint says, the whole state (weights, statistics,
/// optimisers, moving average, position, metrics) is saved (training_state.h), and metrics.csv is written anew from it.
/// Random streams are addressed by seed, epoch and index, so the position is all of their state. A training that was
/// interrupted, however and wherever, therefore ends with the same bytes as one that was not, given the same machine
/// and number of threads. A stop signal takes effect behind the batch that is being trained, or within an evaluation,
/// after the state has been saved.
///
/// With several processes all call this together. Only the first one reads and writes files; the state that it
/// has found goes to the others, and a state is the same whatever the number of processes. A batch's images,
/// gradients and metrics are those of one process with the same batch, up to rounding, but for batch norms that
/// each have the statistics of their own share (share_batch_statistics); the first process's running ones are
/// then handed on after each epoch. A stop signal in any of them ends all behind the same batch.
///
/// When it returns, the student holds the final weights: their moving average where settings.ema > 0.
/// Throws DivergedError when a loss, a gradient or a batch norm's statistics are not finite, naming step, batch and
/// images (of several processes the first one's share), which nonfinite.json lists (the last good state stays);
/// CheckpointError when only damaged states are left; IoError when the folder has no room for the states, or writing
/// them fails; Error with exit code interrupted or terminated.
TrainOutcome train(Task& task, const TrainJob& job, Observer& observer);

/// Element type of activations for a precision: bf16 or fp32.
torch::Dtype activation_type(const RuntimeSettings& runtime);

}  // namespace mfi
