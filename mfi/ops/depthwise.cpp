#include "mfi/ops/depthwise.h"

#include <algorithm>
#include <type_traits>

#include "mfi/ops/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mfi/ops/depthwise.cpp"
#include <hwy/foreach_target.h>
#include "mfi/ops/vectors-inl.h"

#ifndef MFI_OPS_DEPTHWISE_TABLE  // this file includes itself
#define MFI_OPS_DEPTHWISE_TABLE
namespace mfi {

// One image at a time, a register's worth of its channels at a time.
template <class T>
struct DepthwiseTable {
  int64_t lanes;
  // Adds the products of one image's channels [first, first + lanes) to sums [taps][lanes].
  void (*add_image)(const DepthwiseShape& shape, const T* x, const T* dy, int64_t first, double* sums);
};

}  // namespace mfi
#endif

HWY_BEFORE_NAMESPACE();
namespace mfi {
namespace HWY_NAMESPACE {

// Channels [first, first + kLanes) of `pixels` pixels as float32, with zeros for channels that there are not.
template <class T>
void widen(const T* from, int64_t channels, int64_t first, int64_t pixels, float* to) {
  const int64_t known = std::min(kLanes, channels - first);
  for (int64_t p = 0; p < pixels; ++p, to += kLanes) {
    const T* pixel = from + p * channels + first;
    if (known == kLanes) {
      store(load(pixel), to);
      continue;
    }
    for (int64_t c = 0; c < known; ++c) to[c] = load_one(pixel + c);
    for (int64_t c = known; c < kLanes; ++c) to[c] = 0;
  }
}

// An image between margins of zeros, so that no tap has to ask whether it lies outside.
template <class T>
void lay_out(const DepthwiseShape& s, const T* x, int64_t first, int64_t margin, float* to) {
  const int64_t row = (s.width + 2 * margin) * kLanes, side = margin * kLanes;
  std::fill_n(to, margin * row, 0.0f);
  to += margin * row;
  for (int64_t h = 0; h < s.height; ++h, to += row) {
    std::fill_n(to, side, 0.0f);
    widen(x + h * s.width * s.channels, s.channels, first, s.width, to + side);
    std::fill_n(to + row - side, side, 0.0f);
  }
  std::fill_n(to, margin * row, 0.0f);
}

// Rows [first_row, first_row + kRows) of the kernel, whose sums stay in registers.
template <int kKernel, int kRows>
void add_rows(const DepthwiseShape& s, int64_t first_row, const float* x, const float* dy, double* sums) {
  const int64_t row = (s.width + (kKernel - 1) * s.dilation) * kLanes, tap = s.dilation * kLanes;
  Vector sum[kRows][kKernel];
#pragma GCC unroll 3
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 7
    for (int j = 0; j < kKernel; ++j) sum[i][j] = hn::Zero(kFloats);
  for (int64_t h = 0; h < s.height; ++h) {
    const float* from = x + (h + first_row * s.dilation) * row;
    for (int64_t w = 0; w < s.width; ++w, from += kLanes, dy += kLanes) {
      const auto gradient = load(dy);
#pragma GCC unroll 3
      for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 7
        for (int j = 0; j < kKernel; ++j)
          sum[i][j] = hn::MulAdd(gradient, load(from + i * s.dilation * row + j * tap), sum[i][j]);
    }
  }
  float values[kLanes];
#pragma GCC unroll 3
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 7
    for (int j = 0; j < kKernel; ++j) {
      store(sum[i][j], values);
      double* to = sums + ((first_row + i) * kKernel + j) * kLanes;
      for (int64_t c = 0; c < kLanes; ++c) to[c] += values[c];
    }
}

template <class T, int kKernel>
void add_image_of(const DepthwiseShape& s, const T* x, const T* dy, int64_t first, double* sums) {
  // Three by three sums fit into the registers at once; of the larger kernels, a row.
  constexpr int kRows = kKernel == 3 ? 3 : 1;
  const int64_t margin = kKernel / 2 * s.dilation;
  const int64_t pixels = s.height * s.width, padded = (s.height + 2 * margin) * (s.width + 2 * margin);
  // Kept by each thread from call to call: fresh memory would cost a page fault for every 4 KB.
  thread_local std::vector<float> piece;
  piece.resize(std::max(piece.size(), static_cast<size_t>((padded + pixels) * kLanes)));
  float *const wide_x = piece.data(), *const wide_dy = wide_x + padded * kLanes;
  lay_out(s, x, first, margin, wide_x);
  widen(dy, s.channels, first, pixels, wide_dy);
  for (int64_t row = 0; row < kKernel; row += kRows) add_rows<kKernel, kRows>(s, row, wide_x, wide_dy, sums);
}

template <class T>
void add_image(const DepthwiseShape& s, const T* x, const T* dy, int64_t first, double* sums) {
  switch (s.kernel) {
    case 3:
      return add_image_of<T, 3>(s, x, dy, first, sums);
    case 5:
      return add_image_of<T, 5>(s, x, dy, first, sums);
    default:
      return add_image_of<T, 7>(s, x, dy, first, sums);
  }
}

// HWY_EXPORT takes no templates.
DepthwiseTable<float> float_depthwise() { return {kLanes, add_image<float>}; }
DepthwiseTable<Bf16Bits> bf16_depthwise() { return {kLanes, add_image<Bf16Bits>}; }

}  // namespace HWY_NAMESPACE
}  // namespace mfi
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfi {
namespace {

HWY_EXPORT(float_depthwise);
HWY_EXPORT(bf16_depthwise);

// Of the machine that this runs on.
template <class T>
DepthwiseTable<T> depthwise() {
  if constexpr (std::is_same_v<T, float>)
    return HWY_DYNAMIC_DISPATCH(float_depthwise)();
  else
    return HWY_DYNAMIC_DISPATCH(bf16_depthwise)();
}

}  // namespace

bool has_depthwise_weight_gradient(int64_t kernel) { return kernel == 3 || kernel == 5 || kernel == 7; }

template <class T>
void depthwise_weight_gradient(const DepthwiseShape& s, const T* x, const T* dy, float* gradient) {
  const auto table = depthwise<T>();
  const int64_t lanes = table.lanes, taps = s.kernel * s.kernel, blocks = (s.channels + lanes - 1) / lanes;
  const int64_t values = s.height * s.width * s.channels, block_sums = taps * lanes, all_sums = blocks * block_sums;
  const int64_t threads = std::min<int64_t>(parallel_threads(), s.batch);
  thread_local std::vector<double> sums;  // as in add_image_of
  sums.assign(static_cast<size_t>(threads * all_sums), 0);
  double* const all = sums.data();
  for_each_parallel(threads, [&](int64_t thread) {
    for (int64_t n = s.batch * thread / threads; n < s.batch * (thread + 1) / threads; ++n)
      for (int64_t block = 0; block < blocks; ++block)
        table.add_image(s, x + n * values, dy + n * values, block * lanes,
                        all + thread * all_sums + block * block_sums);
  });
  for (int64_t c = 0; c < s.channels; ++c)
    for (int64_t tap = 0; tap < taps; ++tap) {
      double sum = 0;
      for (int64_t thread = 0; thread < threads; ++thread)
        sum += all[thread * all_sums + c / lanes * block_sums + tap * lanes + c % lanes];
      gradient[c * taps + tap] = static_cast<float>(sum);
    }
}

template void depthwise_weight_gradient<float>(const DepthwiseShape&, const float*, const float*, float*);
template void depthwise_weight_gradient<Bf16Bits>(const DepthwiseShape&, const Bf16Bits*, const Bf16Bits*, float*);

}  // namespace mfi
#endif  // HWY_ONCE
