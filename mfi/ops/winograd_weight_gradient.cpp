#include "mfi/ops/parallel.h"
#include "mfi/ops/winograd.h"
#include "mfi/ops/winograd_filters-inl.h"

namespace mfi {
namespace {

constexpr int64_t kRows = 8;                // output channels multiplied at a time,
constexpr int64_t kBlockRegisters = 3;      // by so many registers of input channels: 24 of 32 registers hold sums
constexpr int64_t kOwnSumsBytes = 5 << 19;  // up to which each thread has sums of its own: 128 channels in bfloat16
// Of a piece's transformed tiles: where a thread works by itself, what fits a second-level cache; where all threads
// work on a piece, one point at a time, what makes one point fit.
constexpr int64_t kOwnPieceBytes = 1 << 20, kSharedPieceBytes = 9 << 19;
constexpr int64_t kFewestTiles = 256;  // a piece: each reads and writes all the sums

// How the work is cut. Here tiles are what is summed over: one by one in float32 and in pairs in bfloat16, as the
// instruction takes them. A slot is one tile's value or two tiles' values, four bytes. Both factors are laid out
// [registers of channels][kPoints][slots + 1][kLanes]; the sums are [kPoints][out][registers of in][kLanes]. The slot
// too many keeps the points of a tile, which are written together, out of one set of the cache.
template <class T, class F>
struct GradientBlocking {
  static constexpr int64_t kPoints = F::kPoints;

  explicit GradientBlocking(const Conv3x3Shape& s)
      : grid(s, F::kStep),
        in(s.in, kBlockRegisters),
        out_registers((s.out + kLanes - 1) / kLanes),
        all_slots((grid.tiles + kTilesPerSlot - 1) / kTilesPerSlot),
        slots(std::min(all_slots, std::max(kFewestTiles, piece_bytes() / tile_bytes()) / kTilesPerSlot)),
        point_stride((slots + 1) * kLanes) {}

  static constexpr int64_t kTilesPerSlot = kIsBfloat16<T> ? 2 : 1;
  int64_t sums() const { return kPoints * out_registers * kLanes * in.registers * kLanes; }
  bool own_sums() const { return sums() * static_cast<int64_t>(sizeof(float)) <= kOwnSumsBytes; }

  TileGrid grid;
  RegisterBlocks in;
  int64_t out_registers;
  int64_t all_slots, slots;  // of the batch, and of a piece
  int64_t point_stride;

 private:
  int64_t piece_bytes() const { return own_sums() ? kOwnPieceBytes : kSharedPieceBytes; }
  int64_t tile_bytes() const {
    return kPoints * (in.registers + out_registers) * kLanes * static_cast<int64_t>(sizeof(T));
  }
};

// The transformed values of one register of channels of one tile.
template <class F>
struct Points {
  __m512 at[F::kPoints];
};

// Puts one slot's tiles side by side: in bfloat16 `second` goes into the upper halves.
template <class T, class F>
MFI_AVX512_INLINE void store_slot(const Points<F>& first, const Points<F>& second, int64_t apart, uint32_t* to) {
  if constexpr (kIsBfloat16<T>) {
    const auto alternate =
        _mm512_add_epi16(_mm512_slli_epi32(_mm512_set1_epi32(16), 16),  // lanes 0 and 16, 1 and 17, ...
                         _mm512_mullo_epi32(lane_numbers(), _mm512_set1_epi32(0x10001)));
#pragma GCC unroll 36
    for (int64_t p = 0; p < F::kPoints; ++p)
      _mm512_store_si512(to + p * apart,
                         _mm512_permutexvar_epi16(alternate, (__m512i)_mm512_cvtne2ps_pbh(second.at[p], first.at[p])));
  } else {
#pragma GCC unroll 36
    for (int64_t p = 0; p < F::kPoints; ++p) _mm512_store_si512(to + p * apart, _mm512_castps_si512(first.at[p]));
  }
}

// A share of a piece's tiles.
struct Piece {
  int64_t first_tile;  // of the piece
  int64_t begin, end;  // slots
};

// One register of channels to slots: `transform(place, points)` for each tile in order; beyond the last tile there are
// zeros.
template <class T, class F, class Transform>
MFI_AVX512_INLINE void lay_out(const GradientBlocking<T, F>& b, const Piece& piece, int64_t index, uint32_t* all,
                               const Transform& transform) {
  constexpr int64_t kTiles = GradientBlocking<T, F>::kTilesPerSlot;
  uint32_t* to = all + index * F::kPoints * b.point_stride + piece.begin * kLanes;
  Points<F> points[2];
  int64_t tile = piece.first_tile + piece.begin * kTiles;
  auto at = b.grid.place(tile);
  for (int64_t slot = piece.begin; slot < piece.end; ++slot, to += kLanes) {
    for (int64_t i = 0; i < kTiles; ++i, ++tile, at = b.grid.next(at)) {
      if (tile < b.grid.tiles) {
        transform(at, points[i]);
      } else {
        for (auto& point : points[i].at) point = _mm512_setzero_ps();
      }
    }
    store_slot<T, F>(points[0], points[1], b.point_stride, to);
  }
}

// Transformed pixels of x, B' x B.
template <class T, class F>
MFI_AVX512 void lay_out_x(const Conv3x3Shape& s, const GradientBlocking<T, F>& b, const T* x, const Piece& piece,
                          int64_t index, uint32_t* all) {
  TileTransform<T, F> transform;
  lay_out<T>(b, piece, index, all, [&](const TileGrid::Place& at, Points<F>& points) MFI_AVX512 {
    transform(s, x, index * kLanes, at, [&](int64_t r, const __m512* point) MFI_AVX512 {
#pragma GCC unroll 6
      for (int64_t c = 0; c < F::kTile; ++c) points.at[r * F::kTile + c] = point[c];
    });
  });
}

// Transformed pixels of dy, A dy A'.
template <class T, class F>
MFI_AVX512 void lay_out_dy(const Conv3x3Shape& s, const GradientBlocking<T, F>& b, const T* dy, const Piece& piece,
                           int64_t index, uint32_t* all) {
  constexpr int64_t kTile = F::kTile, kStep = F::kStep;
  lay_out<T>(b, piece, index, all, [&](const TileGrid::Place& at, Points<F>& points) MFI_AVX512 {
    const TilePixels<const T, kStep> pixels(s, dy, s.out, at.image, at.row * kStep, at.column * kStep, index * kLanes);
    __m512 column[kStep][kTile];  // spread along the rows
#pragma GCC unroll 4
    for (int64_t c = 0; c < kStep; ++c) {
      __m512 pixel[kStep];
      pixels.load_column(c, pixel);
      F::spread(pixel, column[c]);
    }
#pragma GCC unroll 6
    for (int64_t r = 0; r < kTile; ++r) {
      __m512 along[kStep];
#pragma GCC unroll 4
      for (int64_t c = 0; c < kStep; ++c) along[c] = column[c][r];
      F::spread(along, points.at + r * kTile);
    }
  });
}

// kRows output channels times kRegisters registers of input channels at one point, added to their sums.
template <class T, int kRegisters>
MFI_AVX512 void add_products(int64_t slots, const uint32_t* dy, const uint32_t* x, int64_t x_stride, int64_t row_sums,
                             bool first, float* sums) {
  __m512 sum[kRows][kRegisters];
#pragma GCC unroll 8
  for (int64_t r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int64_t k = 0; k < kRegisters; ++k)
      sum[r][k] = first ? _mm512_setzero_ps() : _mm512_load_ps(sums + r * row_sums + k * kLanes);
  for (int64_t slot = 0; slot < slots; ++slot) {
    __m512i in[kRegisters];
#pragma GCC unroll 3
    for (int64_t k = 0; k < kRegisters; ++k) in[k] = _mm512_load_si512(x + k * x_stride + slot * kLanes);
#pragma GCC unroll 8
    for (int64_t r = 0; r < kRows; ++r) {
      const auto out = _mm512_set1_epi32(static_cast<int>(dy[slot * kLanes + r]));
#pragma GCC unroll 3
      for (int64_t k = 0; k < kRegisters; ++k) sum[r][k] = multiply_add<T>(out, in[k], sum[r][k]);
    }
  }
#pragma GCC unroll 8
  for (int64_t r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int64_t k = 0; k < kRegisters; ++k) _mm512_store_ps(sums + r * row_sums + k * kLanes, sum[r][k]);
}

// All products of one point and one block of input channels.
template <class T, class F>
void add_block(const Conv3x3Shape& s, const GradientBlocking<T, F>& b, int64_t point, int64_t block, int64_t slots,
               const uint32_t* x, const uint32_t* dy, bool first, float* sums) {
  const int64_t row_sums = b.in.registers * kLanes, stride = F::kPoints * b.point_stride;
  const uint32_t* from_x = x + (b.in.first(block) * F::kPoints + point) * b.point_stride;
  float* to = sums + point * b.out_registers * kLanes * row_sums + b.in.first(block) * kLanes;
  for (int64_t out = 0; out < s.out; out += kRows) {
    const uint32_t* from_dy = dy + (out / kLanes * F::kPoints + point) * b.point_stride + out % kLanes;
    switch (b.in.size(block)) {
      case 1:
        add_products<T, 1>(slots, from_dy, from_x, stride, row_sums, first, to + out * row_sums);
        break;
      case 2:
        add_products<T, 2>(slots, from_dy, from_x, stride, row_sums, first, to + out * row_sums);
        break;
      default:
        add_products<T, 3>(slots, from_dy, from_x, stride, row_sums, first, to + out * row_sums);
        break;
    }
  }
}

// One output channel's gradient: G' sums G, where `count` sums lie one behind the other and are added up first.
template <class T, class F>
MFI_AVX512 void finish_channel(const Conv3x3Shape& s, const GradientBlocking<T, F>& b, int64_t out, const float* sums,
                               int64_t count, float* gradient) {
  constexpr int64_t kTile = F::kTile;
  const int64_t row_sums = b.in.registers * kLanes, point_sums = b.out_registers * kLanes * row_sums;
  for (int64_t in = 0; in < s.in; in += kLanes) {
    const float* from = sums + out * row_sums + in;
    __m512 column[kTile][3];
    for (int64_t c = 0; c < kTile; ++c) {
      __m512 point[kTile];
      for (int64_t r = 0; r < kTile; ++r) {
        const float* const at = from + (r * kTile + c) * point_sums;
        point[r] = _mm512_load_ps(at);
        for (int64_t i = 1; i < count; ++i) point[r] = add(point[r], _mm512_load_ps(at + i * b.sums()));
      }
      F::taps(point, column[c]);
    }
    for (int64_t r = 0; r < 3; ++r) {
      __m512 along[kTile], tap[3];
      for (int64_t c = 0; c < kTile; ++c) along[c] = column[c][r];
      F::taps(along, tap);
      for (int64_t c = 0; c < 3; ++c)
        _mm512_mask_storeu_ps(gradient + ((out * 3 + r) * 3 + c) * s.in + in, first_lanes(s.in - in), tap[c]);
    }
  }
}

// Both factors of a piece, laid out, in memory that this thread keeps.
struct LaidOut {
  uint32_t *x, *dy;
};
template <class T, class F>
LaidOut reserve_piece(const GradientBlocking<T, F>& b) {
  thread_local Workspace x_space, dy_space;
  return {x_space.reserve<uint32_t>(b.in.registers * F::kPoints * b.point_stride),
          dy_space.reserve<uint32_t>(b.out_registers * F::kPoints * b.point_stride)};
}

template <class T, class F>
void lay_out_register(const Conv3x3Shape& s, const GradientBlocking<T, F>& b, const T* x, const T* dy,
                      const Piece& piece, int64_t index, const LaidOut& to) {
  if (index < b.in.registers)
    lay_out_x(s, b, x, piece, index, to.x);
  else
    lay_out_dy(s, b, dy, piece, index - b.in.registers, to.dy);
}

// Each thread takes a share of the tiles through all steps, into sums of its own; the number of such sums comes back.
// Nothing passes from core to core: on a virtual machine that took three times as long for minutes at a time, most
// likely when its cores shared no cache.
template <class T, class F>
int64_t add_by_tiles(const Conv3x3Shape& s, const GradientBlocking<T, F>& b, const T* x, const T* dy,
                     Workspace& sum_space) {
  const int64_t threads = std::min(parallel_threads(), b.all_slots);
  auto* const sums = sum_space.reserve<float>(threads * b.sums());
  for_each_parallel(threads, [&](int64_t thread) {
    const auto to = reserve_piece(b);
    const int64_t begin = b.all_slots * thread / threads, end = b.all_slots * (thread + 1) / threads;
    for (int64_t first = begin; first < end; first += b.slots) {
      const Piece piece{first * b.kTilesPerSlot, 0, std::min(b.slots, end - first)};
      for (int64_t i = 0; i < b.in.registers + b.out_registers; ++i) lay_out_register(s, b, x, dy, piece, i, to);
      for (int64_t i = 0; i < F::kPoints * b.in.blocks; ++i)
        add_block(s, b, i / b.in.blocks, i % b.in.blocks, piece.end, to.x, to.dy, first == begin,
                  sums + thread * b.sums());
    }
  });
  return threads;
}

// All threads lay out a piece, and then each takes a share of the points: for sums too large to have them several
// times.
template <class T, class F>
int64_t add_by_points(const Conv3x3Shape& s, const GradientBlocking<T, F>& b, const T* x, const T* dy,
                      Workspace& sum_space) {
  constexpr int64_t kShares = 8;
  auto* const sums = sum_space.reserve<float>(b.sums());
  const auto to = reserve_piece(b);
  for (int64_t first = 0; first < b.all_slots; first += b.slots) {
    const int64_t slots = std::min(b.slots, b.all_slots - first), registers = b.in.registers + b.out_registers;
    for_each_parallel(kShares * registers, [&](int64_t i) {
      const int64_t share = i / registers;
      const Piece piece{first * b.kTilesPerSlot, slots * share / kShares, slots * (share + 1) / kShares};
      lay_out_register(s, b, x, dy, piece, i % registers, to);
    });
    for_each_parallel(F::kPoints * b.in.blocks, [&](int64_t i) {
      add_block(s, b, i / b.in.blocks, i % b.in.blocks, slots, to.x, to.dy, first == 0, sums);
    });
  }
  return 1;
}

// The whole of it by one filter.
template <class T, class F>
void filtered_weight_gradient(const Conv3x3Shape& s, const T* x, const T* dy, float* gradient) {
  const GradientBlocking<T, F> b(s);
  thread_local Workspace sum_space;
  const int64_t count = b.own_sums() ? add_by_tiles(s, b, x, dy, sum_space) : add_by_points(s, b, x, dy, sum_space);
  const auto* const sums = sum_space.reserve<float>(count * b.sums());  // what they are in
  for_each_parallel(s.out, [&](int64_t out) { finish_channel(s, b, out, sums, count, gradient); });
}

}  // namespace

template <class T>
void winograd_weight_gradient(const Conv3x3Shape& s, const T* x, const T* dy, float* gradient) {
  with_filter(s, sizeof(T), [&]<class F>(F) { filtered_weight_gradient<T, F>(s, x, dy, gradient); });
}

template void winograd_weight_gradient<float>(const Conv3x3Shape&, const float*, const float*, float*);
template void winograd_weight_gradient<uint16_t>(const Conv3x3Shape&, const uint16_t*, const uint16_t*, float*);

}  // namespace mfi
