// How the learning rate moves over a training.
#pragma once

#include <cstdint>

#include "mfi/train/settings.h"

namespace mfi {

/// Learning rate as a function of the position in a training.
///
/// cosine:    linear rise over warmup_epochs, then half a cosine down to 0.
/// one-cycle: rise along half a cosine from peak/25 over warmup_epochs (30 % of the training when 0),
///            then half a cosine down to 0 (Smith and Topin 2017, arXiv:1708.07120).
/// constant:  linear rise over warmup_epochs, then the peak.
class LearningRateSchedule {
 public:
  LearningRateSchedule(const StepSettings& settings, int64_t batches_per_epoch);

  /// Rate for batch `step`, counted from 0 over the whole training.
  double at(int64_t step) const;

 private:
  StepSettings settings_;
  double total_, warmup_;
};

}  // namespace mfi
