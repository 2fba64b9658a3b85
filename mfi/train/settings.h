// How a step of the pipeline trains.
#pragma once

#include <cstdint>
#include <string>

namespace mfi {

/// [runtime]: the same for all steps of a run.
struct RuntimeSettings {
  std::string device = "cpu";      // cpu or cuda
  std::string precision = "bf16";  // bf16 (master weights and statistics stay float32) or fp32
  int64_t threads = 0;             // compute threads of a step; 0: one a core
  bool sync_batch_norm = false;    // with several processes: statistics of the whole batch, not of each share
};

/// [checkpoint]: what a run keeps on its way.
struct CheckpointSettings {
  double minutes = 10;      // at least so often the state is saved within an epoch too; 0: after epochs only
  bool final_state = true;  // a step that is done keeps its last state, so that it may be trained longer
};

/// What to do when a loss, a gradient or a batch norm's statistics are no longer finite.
enum class OnNonfinite {
  stop,
  rewind,  // go back to the last state, with half the learning rate
};

/// Settings of one training step: [teacher], [map], [meta], [incubate] or [hybrid].
struct StepSettings {
  int64_t epochs = 1;
  int64_t batch_size = 128;         // images
  std::string optimiser = "adamw";  // adamw or sgd (with Nesterov momentum)
  double learning_rate = 1e-3;      // its peak
  double weight_decay = 0.01;       // not on biases and norms; decoupled for adamw
  double momentum = 0.9;            // sgd only
  std::string schedule = "cosine";  // cosine, one-cycle or constant
  double warmup_epochs = 0;         // linear rise from 0; one-cycle: 0 means 30 % of the epochs
  double label_smoothing = 0.1;     // classification steps
  double ema = 0;                   // decay of the weights' moving average per step; 0: none
  double distillation = 0;          // share of the teacher's soft labels in the loss, [0, 1]
  double temperature = 4;           // of the distillation
  double features = 0;              // weight of the distance between student's and teacher's stage outputs
  double own_input = 0;             // mapping: share of a batch, at the end, that sees the student's own stages before
  bool augment = true;              // random crop and flip
  std::string flip = "random";      // or alternating
  int64_t lookahead = 0;            // steps between two of Lookahead; 0: none
  bool whitening = false;           // of a stem from starting weights
  double small_until = 0;           // share of the epochs, from the first, with smaller images
  double small_side = 0.75;         // their side, as a share of the images'
};

/// [meta] train: which parts of the meta model learn; the stem never does.
struct MetaSettings {
  std::string train = "all";  // velocity (as in the paper), flow (with alignments), all (with the head)
};

}  // namespace mfi
