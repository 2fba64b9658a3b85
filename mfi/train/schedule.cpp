#include "mfi/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mfi {
namespace {

// From `from` at x = 0 to `to` at x = 1, along half a cosine.
double half_cosine(double from, double to, double x) {
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(x, 0.0, 1.0)));
}

}  // namespace

LearningRateSchedule::LearningRateSchedule(const StepSettings& settings, int64_t batches_per_epoch)
    : settings_(settings),
      total_(static_cast<double>(settings.epochs * batches_per_epoch)),
      warmup_(settings.warmup_epochs * static_cast<double>(batches_per_epoch)) {
  if (settings.schedule == "one-cycle" && settings.warmup_epochs == 0) warmup_ = 0.3 * total_;
  warmup_ = std::min(warmup_, total_);
}

double LearningRateSchedule::at(int64_t step) const {
  const double peak = settings_.learning_rate, x = static_cast<double>(step);
  if (settings_.schedule == "one-cycle") {
    if (x < warmup_) return half_cosine(peak / 25, peak, x / warmup_);
  } else if (x < warmup_) {
    return peak * (x + 1) / (warmup_ + 1);
  }
  if (settings_.schedule == "constant") return peak;
  return half_cosine(peak, 0, (x - warmup_) / std::max(1.0, total_ - warmup_));
}

}  // namespace mfi
