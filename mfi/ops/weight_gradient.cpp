#include "mfi/ops/weight_gradient.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "mfi/ops/parallel.h"

#define MFI_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace mfi {
namespace {

constexpr int64_t kTaps = 3;      // in a row, and rows
constexpr int64_t kLanes = 16;    // input channels in a register of sums
constexpr int64_t kBlockOut = 8;  // output channels of a block: 24 of 32 registers hold sums
constexpr int64_t kBlockSums = kBlockOut * kTaps * kLanes;
constexpr int64_t kPieceBytes = 384 << 10;  // of laid-out operands: a good part of a second-level cache

// How the work is cut. A block is what one set of sum registers covers: one row of taps, kBlockOut output
// channels and kLanes input channels. Planes are the different columns of taps: at stride 1 the third
// column meets the first one's pairs of pixels again, one pair further on.
struct Blocking {
  explicit Blocking(const Conv3x3Shape& s)
      : in_blocks((s.in + kLanes - 1) / kLanes),
        out_blocks((s.out + kBlockOut - 1) / kBlockOut),
        pairs((s.out_width() + 1) / 2),
        planes(s.stride == 1 ? 2 : 3),
        row_pairs(pairs + (s.stride == 1 ? 1 : 0)),
        x_block(planes * s.height * row_pairs * kLanes * 2),
        dy_block(s.out_height() * pairs * kBlockOut * 2),
        sums(kTaps * in_blocks * out_blocks * kBlockSums),
        piece(std::clamp<int64_t>(std::max(kPieceBytes, sums) / (2 * (in_blocks * x_block + out_blocks * dy_block)), 1,
                                  s.batch)) {}

  // Where a row's tap finds its first pair of pixels.
  int64_t tap_offset(const Conv3x3Shape& s, int64_t column) const {
    const int64_t plane = column % planes, pair = column / planes;
    return (plane * s.height * row_pairs + pair) * kLanes * 2;
  }

  int64_t in_blocks, out_blocks;
  int64_t pairs;              // pairs of output pixels in a row
  int64_t planes, row_pairs;  // of x, and pairs in their rows
  int64_t x_block, dy_block;  // values of one block of one image, laid out
  int64_t sums;               // float32 values of all blocks
  // Images laid out at a time. Every piece reads and writes all the sums, so with many of them it pays to
  // let a piece, of as many bytes as there are sums, spill into the third-level cache.
  int64_t piece;
};

// Two pixels' channels as pairs; pixels beyond the row and channels beyond the last are zero.
MFI_AVX512_BF16 inline __m512i in_pair(const uint16_t* even, const uint16_t* odd, __mmask16 mask) {
  const auto low = even ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, even)) : _mm512_setzero_si512();
  const auto high = odd ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, odd)) : _mm512_setzero_si512();
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// One image of x laid out, block after block at a distance: [planes][height][row_pairs][kLanes][2]. In plane q, pair p
// holds what the q-th column of taps sees of x at the output pixels 2p and 2p + 1.
MFI_AVX512_BF16 void lay_out_x(const Conv3x3Shape& s, const Blocking& b, const uint16_t* x, uint16_t* image) {
  for (int64_t block = 0; block < b.in_blocks; ++block) {
    uint16_t* out = image + block * b.piece * b.x_block;
    const auto mask = static_cast<__mmask16>((1u << std::min(kLanes, s.in - block * kLanes)) - 1);
    for (int64_t plane = 0; plane < b.planes; ++plane) {
      // Pair p's pixels are at first + p * step and s.stride further on; both are in the image from pair
      // `from` up to `to`.
      const int64_t first = plane - 1, step = 2 * s.stride;
      const int64_t from = std::min<int64_t>(first < 0 ? 1 : 0, b.row_pairs);
      const int64_t to = std::clamp((s.width - s.stride - first + step - 1) / step, from, b.row_pairs);
      for (int64_t h = 0; h < s.height; ++h) {
        const uint16_t* row = x + h * s.width * s.in + block * kLanes;
        const auto pixel = [&](int64_t w) { return w >= 0 && w < s.width ? row + w * s.in : nullptr; };
        const auto edge = [&](int64_t p) MFI_AVX512_BF16 {
          const int64_t w = first + p * step;
          _mm512_storeu_si512(out + p * 2 * kLanes, in_pair(pixel(w), pixel(w + s.stride), mask));
        };
        for (int64_t p = 0; p < from; ++p) edge(p);
        const uint16_t* next = row + (first + from * step) * s.in;
        for (int64_t p = from; p < to; ++p, next += step * s.in)
          _mm512_storeu_si512(out + p * 2 * kLanes, in_pair(next, next + s.stride * s.in, mask));
        for (int64_t p = to; p < b.row_pairs; ++p) edge(p);
        out += b.row_pairs * 2 * kLanes;
      }
    }
  }
}

// One image of dy laid out, block after block at a distance: [out_height][pairs][block_out][2].
MFI_AVX512_BF16 void lay_out_dy(const Conv3x3Shape& s, const Blocking& b, const uint16_t* dy, uint16_t* image) {
  const int64_t width = s.out_width();
  for (int64_t block = 0; block < b.out_blocks; ++block) {
    uint16_t* out = image + block * b.piece * b.dy_block;
    const auto mask = static_cast<__mmask8>((1u << std::min(kBlockOut, s.out - block * kBlockOut)) - 1);
    const uint16_t* pixel = dy + block * kBlockOut;
    for (int64_t h = 0; h < s.out_height(); ++h)
      for (int64_t w = 0; w < width; w += 2, out += kBlockOut * 2) {
        const auto even = _mm256_cvtepu16_epi32(_mm_maskz_loadu_epi16(mask, pixel));
        const bool has_odd = w + 1 < width;
        const auto odd =
            has_odd ? _mm256_cvtepu16_epi32(_mm_maskz_loadu_epi16(mask, pixel + s.out)) : _mm256_setzero_si256();
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_or_si256(even, _mm256_slli_epi32(odd, 16)));
        pixel += has_odd ? 2 * s.out : s.out;
      }
  }
}

// Adds a piece's products to one block's sums [kBlockOut][kTaps][kLanes].
MFI_AVX512_BF16 void add_products(const Conv3x3Shape& s, const Blocking& b, int64_t images, int64_t row,
                                  const uint16_t* x, const uint16_t* dy, float* sums) {
  const int64_t offset[kTaps] = {b.tap_offset(s, 0), b.tap_offset(s, 1), b.tap_offset(s, 2)};
  // Every loop over these must be unrolled, or they leave their registers and the kernel loses two thirds of
  // its speed.
  __m512 sum[kBlockOut][kTaps];
#pragma GCC unroll 8
  for (int o = 0; o < kBlockOut; ++o)
#pragma GCC unroll 3
    for (int t = 0; t < kTaps; ++t) sum[o][t] = _mm512_loadu_ps(sums + (o * kTaps + t) * kLanes);
  for (int64_t image = 0; image < images; ++image) {
    const uint16_t *x_image = x + image * b.x_block, *dy_image = dy + image * b.dy_block;
    for (int64_t h_out = 0; h_out < s.out_height(); ++h_out) {
      const int64_t h = h_out * s.stride + row - 1;
      if (h < 0 || h >= s.height) continue;
      const uint16_t* x_row = x_image + h * b.row_pairs * 2 * kLanes;
      const uint16_t* dy_row = dy_image + h_out * b.pairs * 2 * kBlockOut;
      for (int64_t p = 0; p < b.pairs; ++p) {
        __m512bh taps[kTaps];
#pragma GCC unroll 3
        for (int t = 0; t < kTaps; ++t) taps[t] = (__m512bh)_mm512_loadu_si512(x_row + offset[t] + p * 2 * kLanes);
#pragma GCC unroll 8
        for (int o = 0; o < kBlockOut; ++o) {
          int pair;
          std::memcpy(&pair, dy_row + (p * kBlockOut + o) * 2, sizeof pair);
          const auto out = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 3
          for (int t = 0; t < kTaps; ++t) sum[o][t] = _mm512_dpbf16_ps(sum[o][t], out, taps[t]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < kBlockOut; ++o)
#pragma GCC unroll 3
    for (int t = 0; t < kTaps; ++t) _mm512_storeu_ps(sums + (o * kTaps + t) * kLanes, sum[o][t]);
}

// Adds the images [first, last) to sums [row][in_block][out_block][kBlockOut][kTaps][kLanes].
void add_images(const Conv3x3Shape& s, const Blocking& b, int64_t first, int64_t last, const uint16_t* x,
                const uint16_t* dy, float* sums) {
  const int64_t x_pixels = s.height * s.width * s.in, dy_pixels = s.out_height() * s.out_width() * s.out;
  // Kept by each thread from call to call: fresh memory would cost a page fault for every 4 KB.
  thread_local std::vector<uint16_t> x_piece, dy_piece;
  x_piece.resize(std::max(x_piece.size(), static_cast<size_t>(b.piece * b.in_blocks * b.x_block)));
  dy_piece.resize(std::max(dy_piece.size(), static_cast<size_t>(b.piece * b.out_blocks * b.dy_block)));
  for (int64_t begin = first; begin < last; begin += b.piece) {
    const int64_t images = std::min(b.piece, last - begin);
    for (int64_t i = 0; i < images; ++i) {
      lay_out_x(s, b, x + (begin + i) * x_pixels, x_piece.data() + i * b.x_block);
      lay_out_dy(s, b, dy + (begin + i) * dy_pixels, dy_piece.data() + i * b.dy_block);
    }
    float* block_sums = sums;
    for (int64_t row = 0; row < kTaps; ++row)
      for (int64_t in = 0; in < b.in_blocks; ++in)
        for (int64_t out = 0; out < b.out_blocks; ++out, block_sums += kBlockSums)
          add_products(s, b, images, row, x_piece.data() + in * b.piece * b.x_block,
                       dy_piece.data() + out * b.piece * b.dy_block, block_sums);
  }
}

}  // namespace

bool has_weight_gradient_kernel(const Conv3x3Shape& shape) {
  static const bool has_instructions = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                                       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has_instructions && shape.in >= kLanes / 2 && (shape.stride == 1 || shape.stride == 2);
}

void weight_gradient(const Conv3x3Shape& s, const uint16_t* x, const uint16_t* dy, float* gradient) {
  const Blocking b(s);
  const int64_t threads = std::min<int64_t>(parallel_threads(), s.batch);
  thread_local std::vector<float> sums;  // as in add_images
  sums.assign(static_cast<size_t>(threads * b.sums), 0);
  float* const all = sums.data();
  for_each_parallel(threads, [&](int64_t thread) {
    add_images(s, b, s.batch * thread / threads, s.batch * (thread + 1) / threads, x, dy, all + thread * b.sums);
  });
  for_each_parallel(s.out, [&](int64_t o) {
    for (int64_t row = 0; row < kTaps; ++row)
      for (int64_t column = 0; column < kTaps; ++column) {
        float* to = gradient + ((o * kTaps + row) * kTaps + column) * s.in;
        for (int64_t i = 0; i < s.in; ++i) {
          const int64_t block = (row * b.in_blocks + i / kLanes) * b.out_blocks + o / kBlockOut;
          const float* from = all + ((block * kBlockOut + o % kBlockOut) * kTaps + column) * kLanes + i % kLanes;
          float sum = 0;
          for (int64_t thread = 0; thread < threads; ++thread) sum += from[thread * b.sums];
          to[i] = sum;
        }
      }
  });
}

}  // namespace mfi
