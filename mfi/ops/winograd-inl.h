// What the kernels of Winograd's minimal filtering share; AVX-512 throughout. Included by their .cpp files only.
#pragma once

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#include "mfi/ops/conv3x3_shape.h"

#define MFI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define MFI_AVX512_INLINE MFI_AVX512 __attribute__((always_inline)) inline

namespace mfi {
namespace {

constexpr int64_t kLanes = 16;  // float32 values in a register

template <class T>
constexpr bool kIsBfloat16 = std::is_same_v<std::remove_const_t<T>, uint16_t>;

inline int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// Memory that starts on a cache line and is kept from call to call: fresh memory would cost a page fault for every
// 4 KB. Much of it lies in huge pages, without which a tile's points, far apart as they are, miss the buffers of
// addresses: up to 1.7 times the time.
class Workspace {
 public:
  template <class T>
  T* reserve(int64_t values) {
    const size_t bytes = static_cast<size_t>(values) * sizeof(T);
    if (bytes > size_) {
      const size_t alignment = bytes < kHugePage / 16 ? kCacheLine : kHugePage;
      const size_t size = (bytes + alignment - 1) / alignment * alignment;
      size_ = 0;
      memory_.reset();  // before the new memory, not after it: both may not fit
      memory_.reset(static_cast<char*>(std::aligned_alloc(alignment, size)));
      if (!memory_) throw std::bad_alloc();
      size_ = size;
      if (alignment == kHugePage) madvise(memory_.get(), size_, MADV_HUGEPAGE);  // a wish: refused, nothing is lost
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  static constexpr size_t kCacheLine = 64, kHugePage = 2 << 20;
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> memory_;
  size_t size_ = 0;
};

// The tiles that cover all images, numbered row by row; each gives `step` x `step` pixels of y.
struct TileGrid {
  TileGrid(const Conv3x3Shape& s, int64_t step)
      : rows((s.height + step - 1) / step), columns((s.width + step - 1) / step), tiles(s.batch * rows * columns) {}

  struct Place {
    int64_t image, row, column;
  };
  Place place(int64_t tile) const { return {tile / (rows * columns), tile / columns % rows, tile % columns}; }
  // The same for the tile after it, without the divisions.
  Place next(Place at) const {
    if (++at.column < columns) return at;
    at.column = 0;
    if (++at.row < rows) return at;
    return {at.image + 1, 0, 0};
  }

  int64_t rows, columns, tiles;  // of an image, and of all
};

// Registers of channels in blocks of at most `most`, as equal as can be.
struct RegisterBlocks {
  RegisterBlocks(int64_t channels, int64_t most)
      : registers((channels + kLanes - 1) / kLanes), blocks((registers + most - 1) / most) {}

  int64_t first(int64_t block) const { return registers * block / blocks; }
  int64_t size(int64_t block) const { return first(block + 1) - first(block); }

  int64_t registers, blocks;
};

MFI_AVX512_INLINE __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, kLanes)) - 1);
}

// Up to sixteen values as float32, and back.
template <class T>
MFI_AVX512_INLINE __m512 load_values(const T* from, __mmask16 mask) {
  if constexpr (kIsBfloat16<T>)
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from)), 16));
  else
    return _mm512_maskz_loadu_ps(mask, from);
}
template <class T>
MFI_AVX512_INLINE void store_values(T* to, __mmask16 mask, __m512 v) {
  if constexpr (kIsBfloat16<T>)
    _mm256_mask_storeu_epi16(to, mask, (__m256i)_mm512_cvtneps_pbh(v));
  else
    _mm512_mask_storeu_ps(to, mask, v);
}

// sum + a * b; in bfloat16 a and b hold pairs, and both products are added.
template <class T>
MFI_AVX512_INLINE __m512 multiply_add(__m512i a, __m512i b, __m512 sum) {
  if constexpr (kIsBfloat16<T>)
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  else
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
}

MFI_AVX512_INLINE __m512i lane_numbers() {
  return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

// kSide x kSide pixels, some of which may lie beyond the image, and sixteen channels of them. Addresses are kept, not
// computed for each pixel: the arithmetic on them would take longer than that on the pixels.
template <class T, int64_t kSide>
class TilePixels {
 public:
  // `pixels` of the shape's images, with `channels` channels, from the pixel in row `top` and column `left` on.
  MFI_AVX512_INLINE TilePixels(const Conv3x3Shape& s, T* pixels, int64_t channels, int64_t image, int64_t top,
                               int64_t left, int64_t channel)
      : row_stride_(s.width * channels),
        pixel_stride_(channels),
        first_(pixels + (image * s.height + top) * row_stride_ + left * channels + channel),
        left_(left),
        width_(s.width) {
    const auto lanes = first_lanes(channels - channel);
#pragma GCC unroll 6
    for (int64_t r = 0; r < kSide; ++r) {
      const bool inside = static_cast<uint64_t>(top + r) < static_cast<uint64_t>(s.height);
      mask_[r] = inside ? lanes : __mmask16{0};
    }
  }

  MFI_AVX512_INLINE bool has_column(int64_t c) const {
    return static_cast<uint64_t>(left_ + c) < static_cast<uint64_t>(width_);
  }
  // Of a column that the image has. Nothing is read or written where a mask is empty, whatever the address.
  MFI_AVX512_INLINE T* at(int64_t r, int64_t c) const { return first_ + r * row_stride_ + c * pixel_stride_; }
  MFI_AVX512_INLINE __mmask16 mask(int64_t r) const { return mask_[r]; }

  // Zeros beyond the image.
  MFI_AVX512_INLINE void load_column(int64_t c, __m512* column) const {
    if (!has_column(c)) {
#pragma GCC unroll 6
      for (int64_t r = 0; r < kSide; ++r) column[r] = _mm512_setzero_ps();
      return;
    }
#pragma GCC unroll 6
    for (int64_t r = 0; r < kSide; ++r) column[r] = load_values(at(r, c), mask_[r]);
  }

 private:
  int64_t row_stride_, pixel_stride_;
  T* first_;
  int64_t left_, width_;
  __mmask16 mask_[kSide];
};

}  // namespace
}  // namespace mfi
