// Random streams that are addressed, not carried along.
#pragma once

#include <cstdint>

namespace mfi {

/// A stream of random numbers named by (seed, a, b), for instance (seed, epoch, sample index).
///
/// Two streams with different names are independent; the same name always gives the same numbers.
/// Nothing has to be saved to resume, and neither threads nor batch size change what a sample sees.
/// The generator is splitmix64 (Steele, Lea and Flood, OOPSLA 2014), its start value a mix of the
/// three words.
class RandomStream {
 public:
  RandomStream(uint64_t seed, uint64_t a, uint64_t b)
      : state_(mix(mix(mix(seed + kGolden) + a + kGolden) + b + kGolden)) {}

  /// 64 uniform bits.
  uint64_t next() { return mix(state_ += kGolden); }

  /// Uniform integer in [0, bound); bound must be positive. Bias below 2^-32 for bounds below 2^32.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

  /// Uniform double in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  static constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ull;

  static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
  }

  uint64_t state_;
};

}  // namespace mfi
