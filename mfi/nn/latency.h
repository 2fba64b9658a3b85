// How long a network takes for an image, part by part.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "mfi/nn/network.h"

namespace mfi {

/// Measured on random images, by a folded copy of the network in float32 on the CPU.
struct PartTimes {
  std::vector<double> milliseconds;  // a part: the median of the turns, each of them the median of some runs
  double whole = 0;                  // the same of all parts together
  /// How much of `whole` lies between the turns' quartiles. On a machine that does nothing else it is some hundredths.
  double spread = 0;
};

/// A spread from which on other work, or a machine that changes its clock, has had so much influence that the times
/// tell nothing.
constexpr double kLargestSpread = 0.3;

/// Times of networks that are to be compared, by turns: each of them once, then each of them again, five times. A
/// machine may be slower for some tenths of a second, which is a whole turn's time and shows in none of its runs; so it
/// meets all of them. While the spread of one is above kLargestSpread all have five turns more,
/// fifteen at most.
///
/// measure: one turn of the network with that number; its spread is not looked at.
std::vector<PartTimes> times_by_turns(size_t count, const std::function<PartTimes(size_t)>& measure);

/// The same of networks, a batch of `images` images each, with as many threads as LibTorch has. make: gives the network
/// with that number, which is not kept from one turn to the next. Throws the Error of a stop signal.
std::vector<PartTimes> measure_by_turns(size_t count, const std::function<std::shared_ptr<const Network>(size_t)>& make,
                                        int64_t images);

/// Of two of them.
std::vector<PartTimes> measure_by_turns(const std::shared_ptr<const Network>& one,
                                        const std::shared_ptr<const Network>& other, int64_t images);

/// The largest of them.
double worst_spread(const std::vector<PartTimes>& times);

}  // namespace mfi
