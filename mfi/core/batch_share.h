// Which part of a batch is whose.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mfi {

/// Of `count` processes that share every batch, number `index` (from 0) has the samples index,
/// index + count, index + 2 count, ... So each has its part of those at the front of a batch too, for which a
/// mapping step works harder (mfi/flow/time_schedule.h).
struct BatchShare {
  int64_t index = 0, count = 1;

  /// How many of a batch's first `samples` samples are in this share.
  int64_t of(int64_t samples) const { return std::max<int64_t>(0, samples - index + count - 1) / count; }
};

}  // namespace mfi
