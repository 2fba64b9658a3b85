#include "mfi/ops/winograd.h"

#include <cpuid.h>

#include "mfi/ops/parallel.h"
#include "mfi/ops/winograd_filters-inl.h"

namespace mfi {
namespace {

constexpr int64_t kBlockRegisters = 4;      // of output channels in a block of products
constexpr int64_t kSumRegisters = 24;       // of 32: the others hold operands
constexpr int64_t kMostRows = 12;           // tiles multiplied at a time: buffers have that many to spare
constexpr int64_t kPieceBytes = 512 << 10;  // of transformed tiles: half a second-level cache

// How the work is cut. The products run over input channels one by one in float32 and in pairs in bfloat16, as
// the instruction takes them; either way one of these factors, a slot, has four bytes.
template <class T, class F>
struct Blocking {
  static constexpr int64_t kPoints = F::kPoints;

  explicit Blocking(const Conv3x3Shape& s)
      : grid(s, F::kStep),
        out(s.out, kBlockRegisters),
        in_padded(round_up(s.in, kLanes)),
        depth(kIsBfloat16<T> ? in_padded / 2 : s.in),
        piece(kPoints * kSumRegisters * in_padded * static_cast<int64_t>(sizeof(T)) <= kPieceBytes ? kSumRegisters
                                                                                                   : kSumRegisters / 2),
        tile_stride(piece * in_padded + 64 / static_cast<int64_t>(sizeof(T))) {}

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
  int64_t tile_stride;
  int64_t product_stride(int64_t registers) const { return (piece * registers + 1) * kLanes; }
};

// ---- weights ----

// The kernels of sixteen input and sixteen output channels, output channels side by side.
struct Kernels {
  alignas(64) float tap[9][kLanes][kLanes];  // [tap][in][out]
};

// Where output channels lie far apart, they are turned around here: to gather them for each input channel anew would
// find them in the same few sets of the cache.
MFI_AVX512 void load_kernels(const Conv3x3Shape& s, const float* weight, ConvUse use, int64_t in, int64_t out,
                             Kernels& kernels) {
  const auto in_lanes = first_lanes(s.in - in), out_lanes = first_lanes(s.out - out);
  for (int64_t tap = 0; tap < 9; ++tap)
    for (int64_t i = 0; i < kLanes; ++i) {
      if (use == ConvUse::gradient) {
        const auto lanes = in + i < s.in ? out_lanes : __mmask16{0};
        _mm512_store_ps(kernels.tap[tap][i],
                        _mm512_maskz_loadu_ps(lanes, weight + ((in + i) * 9 + 8 - tap) * s.out + out));
      } else {
        const auto lanes = out + i < s.out ? in_lanes : __mmask16{0};
        const auto row = _mm512_maskz_loadu_ps(lanes, weight + ((out + i) * 9 + tap) * s.in + in);
        _mm512_i32scatter_ps(&kernels.tap[tap][0][i], _mm512_slli_epi32(lane_numbers(), 4), row, sizeof(float));
      }
    }
}

// Sixteen output channels' kernels for one input channel, transformed: G w G'.
template <class F>
struct WeightTransform {
  __m512 point[F::kPoints];
};

template <class F>
MFI_AVX512 WeightTransform<F> transformed_weights(const Kernels& kernels, int64_t in) {
  WeightTransform<F> result;
  __m512 columns[3][F::kTile];  // transformed along the rows
  for (int64_t column = 0; column < 3; ++column) {
    __m512 tap[3];
    for (int64_t row = 0; row < 3; ++row) tap[row] = _mm512_load_ps(kernels.tap[row * 3 + column][in]);
    F::weights(tap, columns[column]);
  }
  for (int64_t row = 0; row < F::kTile; ++row) {
    const __m512 taps[3] = {columns[0][row], columns[1][row], columns[2][row]};
    F::weights(taps, result.point + row * F::kTile);
  }
  return result;
}

MFI_AVX512_INLINE __m512i bfloat16_bits(__m512 v) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(v)); }

// Sixteen input channels, or what of them there is, and a block's output channels. Points lie far apart; each is
// written in one go, from a buffer: written as they come, every cache line would be waited for.
template <class T, class F>
MFI_AVX512 void lay_out_weights(const Conv3x3Shape& s, const Blocking<T, F>& b, const float* weight, ConvUse use,
                                int64_t in, int64_t block, uint32_t* all) {
  constexpr int64_t kPerSlot = kIsBfloat16<T> ? 2 : 1;
  const int64_t registers = b.out.size(block), slots = std::min(kLanes / kPerSlot, b.depth - in / kPerSlot);
  const int64_t point_size = slots * registers * kLanes;
  thread_local Workspace space;
  auto* const buffer = space.reserve<uint32_t>(F::kPoints * (kLanes * kBlockRegisters + 1) * kLanes);
  for (int64_t i = 0; i < registers; ++i) {
    Kernels kernels;
    load_kernels(s, weight, use, in, (b.out.first(block) + i) * kLanes, kernels);
    for (int64_t slot = 0; slot < slots; ++slot) {
      uint32_t* to = buffer + (slot * registers + i) * kLanes;
      const auto first = transformed_weights<F>(kernels, slot * kPerSlot);
      if constexpr (kIsBfloat16<T>) {
        const auto second = transformed_weights<F>(kernels, slot * kPerSlot + 1);
        for (int64_t p = 0; p < F::kPoints; ++p, to += point_size + kLanes)
          _mm512_store_si512(to, _mm512_or_si512(bfloat16_bits(first.point[p]),
                                                 _mm512_slli_epi32(bfloat16_bits(second.point[p]), 16)));
      } else {
        for (int64_t p = 0; p < F::kPoints; ++p, to += point_size + kLanes)
          _mm512_store_si512(to, _mm512_castps_si512(first.point[p]));
      }
    }
  }
  uint32_t* const to = all + b.weight_offset(block) + in / kPerSlot * registers * kLanes;
  for (int64_t p = 0; p < F::kPoints; ++p)
    std::copy_n(buffer + p * (point_size + kLanes), point_size, to + p * b.weight_stride(block));
}

// ---- tiles of x ----

template <class T>
MFI_AVX512_INLINE void store_transformed(T* to, __m512 v) {
  if constexpr (kIsBfloat16<T>)
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(v));
  else
    _mm512_store_ps(to, v);
}

// Transforms the tiles [first, first + count) of x to [kPoints][piece][in_padded]: B' x B.
template <class T, class F>
MFI_AVX512 void transform_tiles(const Conv3x3Shape& s, const Blocking<T, F>& b, const T* x, int64_t first,
                                int64_t count, T* transformed) {
  for (int64_t channel = 0; channel < b.in_padded; channel += kLanes) {
    TileTransform<T, F> transform;
    auto at = b.grid.place(first);
    for (int64_t i = 0; i < count; ++i, at = b.grid.next(at)) {
      T* to = transformed + i * b.in_padded + channel;
      transform(s, x, channel, at, [&](int64_t, const __m512* point) MFI_AVX512 {
#pragma GCC unroll 6
        for (int64_t c = 0; c < F::kTile; ++c, to += b.tile_stride) store_transformed(to, point[c]);
      });
    }
  }
}

// ---- products ----

// kRows tiles times kRegisters registers of output channels at one point: products [kRows][kRegisters][kLanes].
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
    for (int k = 0; k < kRegisters; ++k) _mm512_store_ps(products + (r * kRegisters + k) * kLanes, sum[r][k]);
}

// All points of `count` tiles and one block: products [kPoints][piece][kRegisters][kLanes]. Rows beyond `count` are
// multiplied too, and not used.
template <class T, class F, int kRegisters>
void multiply_points(const Blocking<T, F>& b, int64_t count, const T* tiles, const uint32_t* weights, float* products) {
  constexpr int kRows = static_cast<int>(kSumRegisters) / kRegisters / (kRegisters == 1 ? 2 : 1);
  for (int64_t p = 0; p < F::kPoints; ++p)
    for (int64_t i = 0; i < count; i += kRows)
      multiply<T, kRows, kRegisters>(b.depth, tiles + p * b.tile_stride + i * b.in_padded, b.in_padded,
                                     weights + p * (b.depth * kRegisters + 1) * kLanes,
                                     products + p * b.product_stride(kRegisters) + i * kRegisters * kLanes);
}

// ---- pixels of y ----

// One block's products of the tiles [first, first + count) to y: A' p A, and the ending.
template <class T, class F>
MFI_AVX512 void finish_tiles(const Conv3x3Shape& s, const Blocking<T, F>& b, int64_t first, int64_t count,
                             int64_t block, const float* products, const ConvEnding<T>& ending, T* y) {
  constexpr int64_t kTile = F::kTile, kStep = F::kStep;
  const int64_t registers = b.out.size(block), product_stride = b.product_stride(registers);
  auto at = b.grid.place(first);
  for (int64_t i = 0; i < count; ++i, at = b.grid.next(at)) {
    for (int64_t k = 0; k < registers; ++k) {
      const int64_t out = (b.out.first(block) + k) * kLanes;
      const float* from = products + (i * registers + k) * kLanes;
      __m512 column[kTile][kStep];  // [column][row], along the rows
#pragma GCC unroll 6
      for (int64_t c = 0; c < kTile; ++c) {
        __m512 point[kTile];
        const float* p = from + c * product_stride;
#pragma GCC unroll 6
        for (int64_t r = 0; r < kTile; ++r, p += kTile * product_stride) point[r] = _mm512_load_ps(p);
        F::results(point, column[c]);
      }
      const auto bias =
          ending.bias ? _mm512_maskz_loadu_ps(first_lanes(s.out - out), ending.bias + out) : _mm512_setzero_ps();
      const TilePixels<T, kStep> pixels(s, y, s.out, at.image, at.row * kStep, at.column * kStep, out);
#pragma GCC unroll 4
      for (int64_t r = 0; r < kStep; ++r) {
        __m512 along[kTile], pixel[kStep];
#pragma GCC unroll 6
        for (int64_t c = 0; c < kTile; ++c) along[c] = column[c][r];
        F::results(along, pixel);
#pragma GCC unroll 4
        for (int64_t c = 0; c < kStep; ++c) {
          if (!pixels.has_column(c)) continue;
          T* const to = pixels.at(r, c);
          auto value = add(pixel[c], bias);
          if (ending.shortcut) value = add(value, load_values(ending.shortcut + (to - y), pixels.mask(r)));
          if (ending.relu) value = _mm512_max_ps(_mm512_setzero_ps(), value);  // a NaN stays
          store_values(to, pixels.mask(r), value);
        }
      }
    }
  }
}

template <class T, class F>
void convolve_tiles(const Conv3x3Shape& s, const Blocking<T, F>& b, const T* x, const uint32_t* weights,
                    const ConvEnding<T>& ending, int64_t begin, int64_t end, T* y) {
  thread_local Workspace tile_space, product_space;
  auto* tiles = tile_space.reserve<T>(F::kPoints * b.tile_stride + kMostRows * b.in_padded);
  auto* products = product_space.reserve<float>(F::kPoints * b.product_stride(kBlockRegisters) +
                                                kMostRows * kBlockRegisters * kLanes);
  for (int64_t first = begin; first < end; first += b.piece) {
    const int64_t count = std::min(b.piece, end - first);
    transform_tiles(s, b, x, first, count, tiles);
    for (int64_t block = 0; block < b.out.blocks; ++block) {
      const uint32_t* block_weights = weights + b.weight_offset(block);
      switch (b.out.size(block)) {
        case 1:
          multiply_points<T, F, 1>(b, count, tiles, block_weights, products);
          break;
        case 2:
          multiply_points<T, F, 2>(b, count, tiles, block_weights, products);
          break;
        case 3:
          multiply_points<T, F, 3>(b, count, tiles, block_weights, products);
          break;
        default:
          multiply_points<T, F, 4>(b, count, tiles, block_weights, products);
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
  return (bytes == 2 ? has_bfloat16 : has_avx512) && shape.stride == 1 && std::min(shape.in, shape.out) >= 16;
}

int64_t winograd_tile(const Conv3x3Shape& s, int64_t bytes) {
  int64_t tile = 0;
  with_filter(s, bytes, [&]<class F>(F) { tile = F::kStep; });
  return tile;
}

template <class T>
int64_t winograd_weight_size(const Conv3x3Shape& s) {
  int64_t size = 0;
  with_filter(s, sizeof(T), [&]<class F>(F) { size = Blocking<T, F>(s).weight_slots(); });
  return size;
}

template <class T>
void winograd_lay_out_weight(const Conv3x3Shape& s, const float* weight, ConvUse use, uint32_t* to) {
  with_filter(s, sizeof(T), [&]<class F>(F) {
    const Blocking<T, F> b(s);
    const int64_t groups = (s.in + kLanes - 1) / kLanes;
    for_each_parallel(b.out.blocks * groups, [&](int64_t item) {
      lay_out_weights(s, b, weight, use, item % groups * kLanes, item / groups, to);
    });
  });
}

template <class T>
void winograd_conv(const Conv3x3Shape& s, const T* x, const uint32_t* weight, const ConvEnding<T>& ending, T* y) {
  with_filter(s, sizeof(T), [&]<class F>(F) {
    const Blocking<T, F> b(s);
    const int64_t threads = std::min(parallel_threads(), b.grid.tiles);
    for_each_parallel(threads, [&](int64_t thread) {
      convolve_tiles(s, b, x, weight, ending, b.grid.tiles * thread / threads, b.grid.tiles * (thread + 1) / threads,
                     y);
    });
  });
}

#define MFI_INSTANTIATE(T)                                                                         \
  template int64_t winograd_weight_size<T>(const Conv3x3Shape&);                                   \
  template void winograd_lay_out_weight<T>(const Conv3x3Shape&, const float*, ConvUse, uint32_t*); \
  template void winograd_conv<T>(const Conv3x3Shape&, const T*, const uint32_t*, const ConvEnding<T>&, T*)
MFI_INSTANTIATE(float);
MFI_INSTANTIATE(uint16_t);
#undef MFI_INSTANTIATE

}  // namespace mfi
