// What this machine can do at most, measured: what operations are held against. On at::get_num_threads() threads.
#pragma once

#include <string>

namespace mfi {

struct ArithmeticPeak {
  double flops_per_s = 0;    // a multiply-add counts as two
  std::string instructions;  // "AVX2", "AVX512-BF16": those that it was measured with
};

/// Multiply-adds that touch nothing but registers, in the widest vectors of the machine: the best of several tries.
ArithmeticPeak fp32_peak();

/// The same for products of bfloat16 that are added up in float32, where the machine has AVX512-BF16. Elsewhere they
/// have to be done in float32, and this is fp32_peak(). AMX is not measured: where it is used, more than this is
/// possible.
ArithmeticPeak bf16_peak();

/// Bytes a second of the triad a = b + s * c (McCalpin's STREAM) over three float32 arrays that together take about
/// `bytes`, each thread with a part of its own: three accesses a value, what is read only to be overwritten not among
/// them. The best of several tries. Sizes are rounded, by at most a tenth, and each is measured once.
double triad_bandwidth(double bytes);

/// The sizes at the two ends: arrays far beyond any cache, and half of the threads' second-level caches.
double memory_bytes();
double l2_bytes();

}  // namespace mfi
