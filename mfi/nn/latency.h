// How long a network takes for an image, part by part.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mfi/nn/network.h"

namespace mfi {

/// Measured on random images, by a folded copy of the network in float32 on the CPU.
struct PartTimes {
  std::vector<double> milliseconds;  // a part: the median of many runs
  double whole = 0;                  // the median of whole runs
  /// How much of that median lies between the runs' quartiles. On a machine that does nothing else it is some
  /// hundredths.
  double spread = 0;
};

/// A batch of `images` images, with as many threads as LibTorch has.
PartTimes measure_parts(const Network& network, int64_t images);

/// A spread from which on other work, or a machine that changes its clock, has had so much influence that the times
/// tell nothing.
constexpr double kLargestSpread = 0.3;

/// Times of two networks measured by turns, the calmest of three attempts; more than one is made only where the first
/// is not calm.
struct PairTimes {
  PartTimes teacher, hybrid;
  bool calm() const { return teacher.spread <= kLargestSpread && hybrid.spread <= kLargestSpread; }
};

PairTimes measure_pair(const Network& teacher, const Network& hybrid, int64_t images);

/// measure_parts, the calmest of three attempts too.
PartTimes measure_calmly(const Network& network, int64_t images);

}  // namespace mfi
