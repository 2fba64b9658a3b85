#include "mfi/ops/winograd.h"

#include <cpuid.h>

#include "mfi/ops/parallel.h"
#include "mfi/ops/winograd-inl.h"

namespace mfi {
namespace {

constexpr int64_t kBlockRegisters = 4;  // of output channels in a block of products
constexpr int64_t kBlockOut = kBlockRegisters * kLanes;
constexpr int64_t kSumRegisters = 24;       // of 32: the others hold operands
constexpr int64_t kMostRows = 12;           // tiles multiplied at a time: buffers have that many to spare
constexpr int64_t kPieceBytes = 512 << 10;  // of transformed tiles: half a second-level cache

// How the work is cut. The products run over input channels one by one in float32 and in pairs in bfloat16, as
// the instruction takes them; either way one of these factors, a slot, has four bytes.
template <class T>
struct Blocking {
  explicit Blocking(const Conv3x3Shape& s)
      : grid(s),
        out(s.out, kBlockRegisters),
        in_padded(round_up(s.in, kIsBfloat16<T> ? 2 * kLanes : kLanes)),
        depth(kIsBfloat16<T> ? in_padded / 2 : s.in),
        piece(kPoints * kSumRegisters * in_padded * static_cast<int64_t>(sizeof(T)) <= kPieceBytes ? kSumRegisters
                                                                                                   : kSumRegisters / 2),
        tile_stride(piece * in_padded + 64 / static_cast<int64_t>(sizeof(T))),
        product_stride(piece * kBlockOut + kLanes) {}

  // Where a block's weights begin: [kPoints][depth][registers * kLanes], and from one of their points to the next.
  int64_t weight_offset(int64_t block) const { return kPoints * (depth * out.first(block) + block) * kLanes; }
  int64_t weight_stride(int64_t block) const { return (depth * out.size(block) + 1) * kLanes; }
  int64_t weight_slots() const { return weight_offset(out.blocks); }

  TileGrid grid;
  RegisterBlocks out;
  int64_t in_padded, depth;  // values and slots of a transformed tile at one point
  int64_t piece;             // tiles transformed at a time
  // From one point of a tile to the next. The odd cache line, here and among the weights, keeps a tile's points, which
  // are used together, out of one set of the cache.
  int64_t tile_stride, product_stride;
};

// ---- weights ----

// Sixteen output channels' kernels for one input channel, transformed: G w G'.
struct WeightTransform {
  __m512 point[kPoints];
};

// (a, (a + b + c) / 2, (a - b + c) / 2, c)
MFI_AVX512_INLINE void transform_weights(__m512 a, __m512 b, __m512 c, __m512* out) {
  const auto half = _mm512_set1_ps(0.5f), ends = _mm512_mul_ps(_mm512_add_ps(a, c), half);
  out[0] = a;
  out[1] = _mm512_fmadd_ps(b, half, ends);
  out[2] = _mm512_fnmadd_ps(b, half, ends);
  out[3] = c;
}

MFI_AVX512 WeightTransform transformed_weights(const Conv3x3Shape& s, const float* weight, ConvUse use, int64_t in,
                                               int64_t out) {
  WeightTransform result;
  if (in >= s.in) {
    for (auto& point : result.point) point = _mm512_setzero_ps();
    return result;
  }
  const auto mask = first_lanes(s.out - out);
  const auto apart = _mm512_mullo_epi32(lane_numbers(), _mm512_set1_epi32(static_cast<int>(9 * s.in)));
  __m512 columns[3][4];  // transformed along the rows
  for (int64_t column = 0; column < 3; ++column) {
    __m512 tap[3];
    for (int64_t row = 0; row < 3; ++row)
      tap[row] = use == ConvUse::forward
                     ? _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, apart,
                                                weight + (out * 9 + row * 3 + column) * s.in + in, sizeof(float))
                     : _mm512_maskz_loadu_ps(mask, weight + (in * 9 + (2 - row) * 3 + 2 - column) * s.out + out);
    transform_weights(tap[0], tap[1], tap[2], columns[column]);
  }
  for (int64_t row = 0; row < 4; ++row)
    transform_weights(columns[0][row], columns[1][row], columns[2][row], result.point + row * 4);
  return result;
}

// The input channels of a slot. In bfloat16 a register of activations is split into its even and its odd
// channels, which then are neighbours: slots 0 to 7 of sixteen hold channels 4 j and 4 j + 2, the others 4 j + 1 and 4
// j + 3.
int64_t first_channel(int64_t slot) { return slot / 16 * 32 + slot % 8 * 4 + slot % 16 / 8; }

MFI_AVX512_INLINE __m512i bfloat16_bits(__m512 v) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(v)); }

template <class T>
MFI_AVX512 void lay_out_weights(const Conv3x3Shape& s, const Blocking<T>& b, const float* weight, ConvUse use,
                                int64_t block, int64_t slot, uint32_t* all) {
  const int64_t width = b.out.size(block) * kLanes;
  uint32_t* to = all + b.weight_offset(block) + slot * width;
  for (int64_t i = 0; i < b.out.size(block); ++i) {
    const int64_t out = (b.out.first(block) + i) * kLanes;
    const auto store = [&](int64_t point, __m512i value)
                           MFI_AVX512 { _mm512_store_si512(to + point * b.weight_stride(block) + i * kLanes, value); };
    if constexpr (kIsBfloat16<T>) {
      const auto low = transformed_weights(s, weight, use, first_channel(slot), out);
      const auto high = transformed_weights(s, weight, use, first_channel(slot) + 2, out);
      for (int64_t p = 0; p < kPoints; ++p)
        store(p, _mm512_or_si512(bfloat16_bits(low.point[p]), _mm512_slli_epi32(bfloat16_bits(high.point[p]), 16)));
    } else {
      const auto values = transformed_weights(s, weight, use, slot, out);
      for (int64_t p = 0; p < kPoints; ++p) store(p, _mm512_castps_si512(values.point[p]));
    }
  }
}

// ---- tiles of x ----

// Sixteen channels of a pixel: of bfloat16 the even (half 0) or the odd ones of 32.
template <class T>
MFI_AVX512_INLINE __m512 load_channels(const T* pixel, __mmask32 mask, int64_t half) {
  if constexpr (kIsBfloat16<T>) {
    const auto both = _mm512_maskz_loadu_epi16(mask, pixel);
    return _mm512_castsi512_ps(half == 0 ? _mm512_slli_epi32(both, 16)
                                         : _mm512_and_si512(both, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  } else {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), pixel);
  }
}

template <class T>
MFI_AVX512_INLINE void store_transformed(T* to, __m512 v) {
  if constexpr (kIsBfloat16<T>)
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(v));
  else
    _mm512_store_ps(to, v);
}

// Transforms the tiles [first, first + count) of x to [kPoints][piece][in_padded]: B' x B.
template <class T>
MFI_AVX512 void transform_tiles(const Conv3x3Shape& s, const Blocking<T>& b, const T* x, int64_t first, int64_t count,
                                T* transformed) {
  constexpr int64_t kHalves = kIsBfloat16<T> ? 2 : 1, kChannels = kHalves * kLanes;
  static constexpr T kZeros[kChannels] = {};  // what is beyond the image
  for (int64_t channel = 0; channel < b.in_padded; channel += kChannels) {
    const int64_t left = std::min(kChannels, s.in - channel);
    const auto mask = static_cast<__mmask32>((uint64_t{1} << left) - 1);
    for (int64_t half = 0; half < kHalves; ++half) {
      __m512 column[kTile][kTile];  // [column][row], transformed along the rows
      auto at = b.grid.place(first);
      for (int64_t i = 0; i < count; ++i, at = b.grid.next(at)) {
        const int64_t top = at.row * kStep - 1, left_edge = at.column * kStep - 1;
        const auto load_column = [&](int64_t c) MFI_AVX512 {
          const int64_t w = left_edge + c;
          __m512 pixel[kTile];
#pragma GCC unroll 4
          for (int64_t r = 0; r < kTile; ++r) {
            const int64_t h = top + r;
            const bool inside = w >= 0 && w < s.width && h >= 0 && h < s.height;
            const T* from = inside ? x + ((at.image * s.height + h) * s.width + w) * s.in + channel : kZeros;
            pixel[r] = load_channels(from, mask, half);
          }
          transform_pixels(pixel[0], pixel[1], pixel[2], pixel[3], column[c]);
        };
        if (i == 0 || at.column == 0) {
          load_column(0);
          load_column(1);
        } else {  // the right half of the tile before it
#pragma GCC unroll 4
          for (int64_t r = 0; r < kTile; ++r) {
            column[0][r] = column[2][r];
            column[1][r] = column[3][r];
          }
        }
        load_column(2);
        load_column(3);
        T* to = transformed + i * b.in_padded + channel + half * kLanes;
#pragma GCC unroll 4
        for (int64_t r = 0; r < kTile; ++r) {
          __m512 point[kTile];
          transform_pixels(column[0][r], column[1][r], column[2][r], column[3][r], point);
#pragma GCC unroll 4
          for (int64_t c = 0; c < kTile; ++c) store_transformed(to + (r * kTile + c) * b.tile_stride, point[c]);
        }
      }
    }
  }
}

// ---- products ----

// kRows tiles times kRegisters registers of output channels at one point: products [kRows][kBlockOut].
template <class T, int kRows, int kRegisters>
MFI_AVX512 void multiply(int64_t depth, const T* tiles, int64_t tile_stride, const uint32_t* weights, float* products) {
  __m512 sum[kRows][kRegisters];
#pragma GCC unroll 24
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int k = 0; k < kRegisters; ++k) sum[r][k] = _mm512_setzero_ps();
  for (int64_t d = 0; d < depth; ++d) {
    __m512i weight[kRegisters];
#pragma GCC unroll 4
    for (int k = 0; k < kRegisters; ++k) weight[k] = _mm512_load_si512(weights + (d * kRegisters + k) * kLanes);
#pragma GCC unroll 24
    for (int r = 0; r < kRows; ++r) {
      int slot;
      __builtin_memcpy(&slot, tiles + r * tile_stride + d * static_cast<int64_t>(4 / sizeof(T)), sizeof slot);
      const auto tile = _mm512_set1_epi32(slot);
#pragma GCC unroll 4
      for (int k = 0; k < kRegisters; ++k) sum[r][k] = multiply_add<T>(tile, weight[k], sum[r][k]);
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int k = 0; k < kRegisters; ++k) _mm512_store_ps(products + r * kBlockOut + k * kLanes, sum[r][k]);
}

// All points of `count` tiles and one block: products [kPoints][piece][kBlockOut]. Rows beyond `count` are
// multiplied too, and not used.
template <class T, int kRegisters>
void multiply_points(const Blocking<T>& b, int64_t count, const T* tiles, const uint32_t* weights, float* products) {
  constexpr int kRows = static_cast<int>(kSumRegisters) / kRegisters / (kRegisters == 1 ? 2 : 1);
  for (int64_t p = 0; p < kPoints; ++p)
    for (int64_t i = 0; i < count; i += kRows)
      multiply<T, kRows, kRegisters>(b.depth, tiles + p * b.tile_stride + i * b.in_padded, b.in_padded,
                                     weights + p * (b.depth * kRegisters + 1) * kLanes,
                                     products + p * b.product_stride + i * kBlockOut);
}

// ---- pixels of y ----

// One block's products of the tiles [first, first + count) to y: A' p A, and the ending.
template <class T>
MFI_AVX512 void finish_tiles(const Conv3x3Shape& s, const Blocking<T>& b, int64_t first, int64_t count, int64_t block,
                             const float* products, const ConvEnding<T>& ending, T* y) {
  auto at = b.grid.place(first);
  for (int64_t i = 0; i < count; ++i, at = b.grid.next(at)) {
    for (int64_t k = 0; k < b.out.size(block); ++k) {
      const int64_t out = (b.out.first(block) + k) * kLanes;
      const auto mask = first_lanes(s.out - out);
      const float* from = products + i * kBlockOut + k * kLanes;
      __m512 sum[kStep][kTile];  // along the rows
#pragma GCC unroll 4
      for (int64_t c = 0; c < kTile; ++c) {
        const auto point = [&](int64_t r)
                               MFI_AVX512 { return _mm512_load_ps(from + (r * kTile + c) * b.product_stride); };
        const auto middle = point(1), next = point(2);
        sum[0][c] = _mm512_add_ps(point(0), _mm512_add_ps(middle, next));
        sum[1][c] = _mm512_sub_ps(_mm512_sub_ps(middle, next), point(3));
      }
      const auto bias = ending.bias ? _mm512_maskz_loadu_ps(mask, ending.bias + out) : _mm512_setzero_ps();
#pragma GCC unroll 2
      for (int64_t r = 0; r < kStep; ++r) {
        const __m512 pixel[kStep] = {_mm512_add_ps(sum[r][0], _mm512_add_ps(sum[r][1], sum[r][2])),
                                     _mm512_sub_ps(_mm512_sub_ps(sum[r][1], sum[r][2]), sum[r][3])};
        const int64_t h = at.row * kStep + r;
        if (h >= s.height) continue;
#pragma GCC unroll 2
        for (int64_t c = 0; c < kStep; ++c) {
          const int64_t w = at.column * kStep + c;
          if (w >= s.width) continue;
          const int64_t offset = ((at.image * s.height + h) * s.width + w) * s.out + out;
          auto value = _mm512_add_ps(pixel[c], bias);
          if (ending.shortcut) value = _mm512_add_ps(value, load_values(ending.shortcut + offset, mask));
          if (ending.relu) value = _mm512_max_ps(_mm512_setzero_ps(), value);  // a NaN stays
          store_values(y + offset, mask, value);
        }
      }
    }
  }
}

template <class T>
void convolve_tiles(const Conv3x3Shape& s, const Blocking<T>& b, const T* x, const uint32_t* weights,
                    const ConvEnding<T>& ending, int64_t begin, int64_t end, T* y) {
  thread_local Workspace tile_space, product_space;
  auto* tiles = tile_space.reserve<T>(kPoints * b.tile_stride + kMostRows * b.in_padded);
  auto* products = product_space.reserve<float>(kPoints * b.product_stride + kMostRows * kBlockOut);
  for (int64_t first = begin; first < end; first += b.piece) {
    const int64_t count = std::min(b.piece, end - first);
    transform_tiles(s, b, x, first, count, tiles);
    for (int64_t block = 0; block < b.out.blocks; ++block) {
      const uint32_t* block_weights = weights + b.weight_offset(block);
      switch (b.out.size(block)) {
        case 1:
          multiply_points<T, 1>(b, count, tiles, block_weights, products);
          break;
        case 2:
          multiply_points<T, 2>(b, count, tiles, block_weights, products);
          break;
        case 3:
          multiply_points<T, 3>(b, count, tiles, block_weights, products);
          break;
        default:
          multiply_points<T, 4>(b, count, tiles, block_weights, products);
          break;
      }
      finish_tiles(s, b, first, count, block, products, ending, y);
    }
  }
}

bool has_amx_bfloat16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 22)) != 0;
}

}  // namespace

bool has_winograd_conv(const Conv3x3Shape& shape, int64_t bytes) {
  static const bool has_amx = has_amx_bfloat16();
  return has_winograd_weight_gradient(shape, bytes) && !(bytes == 2 && has_amx);
}

bool has_winograd_weight_gradient(const Conv3x3Shape& shape, int64_t bytes) {
  static const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  static const bool has_bfloat16 = has_avx512 && __builtin_cpu_supports("avx512bf16");
  return (bytes == 2 ? has_bfloat16 : has_avx512) && shape.stride == 1 && std::min(shape.in, shape.out) >= 32;
}

template <class T>
void winograd_conv(const Conv3x3Shape& s, const T* x, const float* weight, ConvUse use, const ConvEnding<T>& ending,
                   T* y) {
  const Blocking<T> b(s);
  thread_local Workspace weight_space;
  auto* weights = weight_space.reserve<uint32_t>(b.weight_slots());
  for_each_parallel(b.out.blocks * b.depth,
                    [&](int64_t i) { lay_out_weights<T>(s, b, weight, use, i / b.depth, i % b.depth, weights); });
  const int64_t threads = std::min(parallel_threads(), b.grid.tiles);
  for_each_parallel(threads, [&](int64_t thread) {
    convolve_tiles(s, b, x, weights, ending, b.grid.tiles * thread / threads, b.grid.tiles * (thread + 1) / threads, y);
  });
}

template void winograd_conv<float>(const Conv3x3Shape&, const float*, const float*, ConvUse, const ConvEnding<float>&,
                                   float*);
template void winograd_conv<uint16_t>(const Conv3x3Shape&, const uint16_t*, const float*, ConvUse,
                                      const ConvEnding<uint16_t>&, uint16_t*);

}  // namespace mfi
