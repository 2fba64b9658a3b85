#include "bench/peak.h"

#include <immintrin.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "mfi/ops/parallel.h"

// Compiles what stands between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE once for each kind of machine.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/peak.cpp"
#include <hwy/foreach_target.h>
#include "mfi/ops/vectors-inl.h"

#ifndef MFI_BENCH_PEAK  // this file includes itself
#define MFI_BENCH_PEAK
namespace mfi {

// Enough for the latency of any machine's multiply-adds, and no more than half of AVX-512's registers.
constexpr int kSums = 14;

struct Loops {
  const char* target;
  int64_t lanes;
  void (*multiply_add)(int64_t rounds, float factor, float* out);
  void (*triad)(const float* b, const float* c, float s, int64_t count, float* a);
};

}  // namespace mfi
#endif

HWY_BEFORE_NAMESPACE();
namespace mfi {
namespace HWY_NAMESPACE {

// out[lanes]: only so that the work is not left out.
void multiply_add(int64_t rounds, float factor, float* out) {
  const auto x = hn::Set(kFloats, factor);
  Vector sums[kSums];
#pragma GCC unroll 14
  for (int k = 0; k < kSums; ++k) sums[k] = hn::Set(kFloats, static_cast<float>(k));
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 14
    for (int k = 0; k < kSums; ++k) sums[k] = hn::MulAdd(sums[k], x, x);
  }
  auto total = sums[0];
#pragma GCC unroll 14
  for (int k = 1; k < kSums; ++k) total = hn::Add(total, sums[k]);
  hn::StoreU(total, kFloats, out);
}

// count: a multiple of 64.
void triad(const float* b, const float* c, float s, int64_t count, float* a) {
  const auto factor = hn::Set(kFloats, s);
  for (int64_t i = 0; i < count; i += 4 * kLanes) {
    store(hn::MulAdd(load(c + i), factor, load(b + i)), a + i);
    store(hn::MulAdd(load(c + i + kLanes), factor, load(b + i + kLanes)), a + i + kLanes);
    store(hn::MulAdd(load(c + i + 2 * kLanes), factor, load(b + i + 2 * kLanes)), a + i + 2 * kLanes);
    store(hn::MulAdd(load(c + i + 3 * kLanes), factor, load(b + i + 3 * kLanes)), a + i + 3 * kLanes);
  }
}

Loops loops() { return {hwy::TargetName(HWY_TARGET), kLanes, multiply_add, triad}; }

}  // namespace HWY_NAMESPACE
}  // namespace mfi
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfi {
namespace {

HWY_EXPORT(loops);

Loops best_loops() { return HWY_DYNAMIC_DISPATCH(loops)(); }

constexpr int64_t kBf16Flops = 16 * 2 * 2;  // of one instruction: 16 sums of two products each

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))) void multiply_add_bf16(int64_t rounds,
                                                                                                float factor,
                                                                                                float* out) {
  const auto x = (__m512bh)_mm512_castps_si512(_mm512_set1_ps(factor));
  __m512 sums[kSums];
#pragma GCC unroll 14
  for (int k = 0; k < kSums; ++k) sums[k] = _mm512_set1_ps(static_cast<float>(k));
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 14
    for (int k = 0; k < kSums; ++k) sums[k] = _mm512_dpbf16_ps(sums[k], x, x);
  }
  auto total = sums[0];
#pragma GCC unroll 14
  for (int k = 1; k < kSums; ++k) total = _mm512_add_ps(total, sums[k]);
  _mm512_storeu_ps(out, total);
}

// Seconds that `work` takes, of several tries the shortest: another program can only make it slower.
double shortest(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9, spent = 0;
  for (int i = 0; i < 5 || (i < 100 && spent < 0.1); ++i) {
    const auto start = Clock::now();
    work();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

double flops_per_s(void (*loop)(int64_t, float, float*), int64_t flops_a_vector) {
  constexpr int64_t kRounds = 2'000'000;  // some 10 ms
  const int64_t threads = parallel_threads();
  volatile float factor = 0.5F;  // the sums stay near 1
  const double seconds = shortest([&] {
    for_each_parallel(threads, [&](int64_t) {
      float out[16];
      loop(kRounds, factor, out);
      volatile float kept = out[0];
      (void)kept;
    });
  });
  return static_cast<double>(threads * kRounds * kSums * flops_a_vector) / seconds;
}

double measure_triad(double bytes) {
  constexpr int64_t kStep = 64;  // values
  const int64_t threads = parallel_threads();
  const int64_t values =
      std::max<int64_t>(1, static_cast<int64_t>(bytes) / (3 * static_cast<int64_t>(sizeof(float)) * threads * kStep)) *
      kStep;
  const int64_t repeats = std::max<int64_t>(1, (8 << 20) / values);  // starting the threads shall cost nothing
  const auto triad = best_loops().triad;
  // Each thread's arrays beside one another, first touched by it.
  std::vector<std::vector<float>> arrays(static_cast<size_t>(threads));
  for_each_parallel(threads, [&](int64_t t) {
    // Apart by a cache line more than a power of two, which would put all three into the same places of a cache.
    arrays[static_cast<size_t>(t)].assign(static_cast<size_t>(3 * values + 3 * kStep), 1.0F);
  });
  const double seconds = shortest([&] {
    for_each_parallel(threads, [&](int64_t t) {
      float* a = arrays[static_cast<size_t>(t)].data();
      const float *b = a + values + kStep, *c = b + values + kStep;
      for (int64_t i = 0; i < repeats; ++i) triad(b, c, 1e-3F, values, a);
    });
  });
  return static_cast<double>(3 * sizeof(float)) * static_cast<double>(threads * values * repeats) / seconds;
}

}  // namespace

ArithmeticPeak fp32_peak() {
  const auto loops = best_loops();
  static const double measured = flops_per_s(loops.multiply_add, 2 * loops.lanes);
  // Highway's name for AVX-512 is AVX3.
  return {measured, std::string_view(loops.target).starts_with("AVX3") ? "AVX512" : loops.target};
}

ArithmeticPeak bf16_peak() {
  if (!__builtin_cpu_supports("avx512bf16")) return fp32_peak();
  static const double measured = flops_per_s(multiply_add_bf16, kBf16Flops);
  return {measured, "AVX512-BF16"};
}

double triad_bandwidth(double bytes) {
  static std::map<int, double> measured;  // by the size's quarter of a power of two
  const int quarter = static_cast<int>(std::lround(4 * std::log2(std::max(bytes, 65536.0))));
  auto found = measured.find(quarter);
  if (found == measured.end()) found = measured.emplace(quarter, measure_triad(std::exp2(quarter / 4.0))).first;
  return found->second;
}

double memory_bytes() { return 512 << 20; }

double l2_bytes() {
  const int64_t size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return static_cast<double>(parallel_threads() * (size > 0 ? size : 1 << 20) / 2);
}

}  // namespace mfi
#endif  // HWY_ONCE
