// Winograd's minimal filtering F(n x n, 3x3) for n = 2 and 4: what is done to sixteen channels' tiles and kernels.
// Included by the kernels' .cpp files only.
//
// In one dimension n results y of a kernel w of 3 over tile d of n + 2 values are y = A' [(G w) . (B' d)], products
// taken value by value; a tile's transformed values are its points, as each is the value of a polynomial at one point
// of the Cook-Toom construction. The kernel's gradient is w = G' [(A dy) . (B' d)]. In two dimensions each matrix is
// applied to columns and then to rows.
#pragma once

#include "mfi/ops/winograd-inl.h"

namespace mfi {
namespace {

MFI_AVX512_INLINE __m512 broadcast(float v) { return _mm512_set1_ps(v); }
MFI_AVX512_INLINE __m512 add(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
MFI_AVX512_INLINE __m512 subtract(__m512 a, __m512 b) { return _mm512_sub_ps(a, b); }
// factor * a + b, and b - factor * a
MFI_AVX512_INLINE __m512 add_scaled(float factor, __m512 a, __m512 b) {
  return _mm512_fmadd_ps(broadcast(factor), a, b);
}
MFI_AVX512_INLINE __m512 subtract_scaled(float factor, __m512 a, __m512 b) {
  return _mm512_fnmadd_ps(broadcast(factor), a, b);
}

// On the points 0, 1, -1 and infinity: additions alone, but for the kernel's halves.
struct Filter2 {
  static constexpr int64_t kStep = 2;          // pixels of y along a side of a tile
  static constexpr int64_t kTile = kStep + 2;  // pixels of x along that side; neighbours overlap by two
  static constexpr int64_t kPoints = kTile * kTile;

  MFI_AVX512_INLINE static void pixels(const __m512* d, __m512* point) {  // B'
    point[0] = subtract(d[0], d[2]);
    point[1] = add(d[1], d[2]);
    point[2] = subtract(d[2], d[1]);
    point[3] = subtract(d[1], d[3]);
  }
  MFI_AVX512_INLINE static void weights(const __m512* w, __m512* point) {  // G
    const auto ends = _mm512_mul_ps(add(w[0], w[2]), broadcast(0.5f));
    point[0] = w[0];
    point[1] = add_scaled(0.5f, w[1], ends);
    point[2] = subtract_scaled(0.5f, w[1], ends);
    point[3] = w[2];
  }
  MFI_AVX512_INLINE static void results(const __m512* point, __m512* y) {  // A'
    y[0] = add(point[0], add(point[1], point[2]));
    y[1] = subtract(subtract(point[1], point[2]), point[3]);
  }
  MFI_AVX512_INLINE static void spread(const __m512* dy, __m512* point) {  // A
    point[0] = dy[0];
    point[1] = add(dy[0], dy[1]);
    point[2] = subtract(dy[0], dy[1]);
    point[3] = subtract(_mm512_setzero_ps(), dy[1]);
  }
  MFI_AVX512_INLINE static void taps(const __m512* point, __m512* w) {  // G'
    const auto both = _mm512_mul_ps(add(point[1], point[2]), broadcast(0.5f));
    w[0] = add(point[0], both);
    w[1] = _mm512_mul_ps(subtract(point[1], point[2]), broadcast(0.5f));
    w[2] = add(both, point[3]);
  }
};

// On the points 0, a, -a, 1 / a, -1 / a and infinity, where a^2 = 1/2. The usual 0, 1, -1, 2, -2 and infinity take
// rounder numbers, but in bfloat16 lose twice as much.
struct Filter4 {
  static constexpr int64_t kStep = 4, kTile = kStep + 2, kPoints = kTile * kTile;
  static constexpr float kNear = 0.70710678f, kFar = 1.41421356f;  // a and 1 / a

  MFI_AVX512_INLINE static void pixels(const __m512* d, __m512* point) {  // B'
    point[0] = subtract_scaled(2.5f, d[2], add(d[0], d[4]));
    const auto even = subtract_scaled(2, d[2], d[4]), odd = subtract_scaled(2, d[1], d[3]);
    point[1] = add_scaled(kNear, odd, even);
    point[2] = subtract_scaled(kNear, odd, even);
    const auto far_even = subtract_scaled(0.5f, d[2], d[4]), far_odd = subtract_scaled(0.5f, d[1], d[3]);
    point[3] = add_scaled(kFar, far_odd, far_even);
    point[4] = subtract_scaled(kFar, far_odd, far_even);
    point[5] = subtract_scaled(2.5f, d[3], add(d[1], d[5]));
  }
  MFI_AVX512_INLINE static void weights(const __m512* w, __m512* point) {  // G
    constexpr float kOfNear = -2.0f / 3, kOfFar = 1.0f / 6;
    point[0] = w[0];
    const auto even = _mm512_mul_ps(add_scaled(0.5f, w[2], w[0]), broadcast(kOfNear));
    point[1] = add_scaled(kOfNear * kNear, w[1], even);
    point[2] = subtract_scaled(kOfNear * kNear, w[1], even);
    const auto far_even = _mm512_mul_ps(add_scaled(2, w[2], w[0]), broadcast(kOfFar));
    point[3] = add_scaled(kOfFar * kFar, w[1], far_even);
    point[4] = subtract_scaled(kOfFar * kFar, w[1], far_even);
    point[5] = w[2];
  }
  MFI_AVX512_INLINE static void results(const __m512* point, __m512* y) {  // A'
    const auto even = add(point[1], point[2]), odd = subtract(point[1], point[2]);
    const auto far_even = add(point[3], point[4]), far_odd = subtract(point[3], point[4]);
    y[0] = add(point[0], add(even, far_even));
    y[1] = add_scaled(kFar, far_odd, _mm512_mul_ps(odd, broadcast(kNear)));
    y[2] = add_scaled(2, far_even, _mm512_mul_ps(even, broadcast(0.5f)));
    y[3] = add_scaled(2 * kFar, far_odd, add_scaled(kNear / 2, odd, point[5]));
  }
  MFI_AVX512_INLINE static void spread(const __m512* dy, __m512* point) {  // A
    point[0] = dy[0];
    const auto even = add_scaled(0.5f, dy[2], dy[0]), odd = add_scaled(0.5f, dy[3], dy[1]);
    point[1] = add_scaled(kNear, odd, even);
    point[2] = subtract_scaled(kNear, odd, even);
    const auto far_even = add_scaled(2, dy[2], dy[0]), far_odd = add_scaled(2, dy[3], dy[1]);
    point[3] = add_scaled(kFar, far_odd, far_even);
    point[4] = subtract_scaled(kFar, far_odd, far_even);
    point[5] = dy[3];
  }
  MFI_AVX512_INLINE static void taps(const __m512* point, __m512* w) {  // G'
    constexpr float kThird = 1.0f / 3;
    const auto even = _mm512_mul_ps(add(point[1], point[2]), broadcast(-kThird));
    const auto far_even = _mm512_mul_ps(add(point[3], point[4]), broadcast(kThird));
    w[0] = add(point[0], add_scaled(2, even, _mm512_mul_ps(far_even, broadcast(0.5f))));
    w[1] = add_scaled(kFar / 6, subtract(point[3], point[4]),
                      _mm512_mul_ps(subtract(point[1], point[2]), broadcast(-2 * kNear / 3)));
    w[2] = add(point[5], add(even, far_even));
  }
};

// Tiles of x transformed, B' x B, sixteen channels at a time. Those of a row of tiles share columns: each takes over
// what the one before it has.
template <class T, class F>
class TileTransform {
 public:
  // The next tile after the one of the last call. row(r, point): the points of its row r, kTile of them.
  template <class Row>
  MFI_AVX512_INLINE void operator()(const Conv3x3Shape& s, const T* x, int64_t channel, const TileGrid::Place& at,
                                    const Row& row) {
    const TilePixels<const T, kTile> pixels(s, x, s.in, at.image, at.row * F::kStep - 1, at.column * F::kStep - 1,
                                            channel);
    const auto transform_column = [&](int64_t c) MFI_AVX512 {
      __m512 pixel[kTile];
      pixels.load_column(c, pixel);
      F::pixels(pixel, column_[c]);
    };
    if (!started_ || at.column == 0) {
      transform_column(0);
      transform_column(1);
      started_ = true;
    } else {
#pragma GCC unroll 6
      for (int64_t r = 0; r < kTile; ++r) {
        column_[0][r] = column_[F::kStep][r];
        column_[1][r] = column_[F::kStep + 1][r];
      }
    }
#pragma GCC unroll 4
    for (int64_t c = 2; c < kTile; ++c) transform_column(c);
#pragma GCC unroll 6
    for (int64_t r = 0; r < kTile; ++r) {
      __m512 along[kTile], point[kTile];
#pragma GCC unroll 6
      for (int64_t c = 0; c < kTile; ++c) along[c] = column_[c][r];
      F::pixels(along, point);
      row(r, point);
    }
  }

 private:
  static constexpr int64_t kTile = F::kTile;
  __m512 column_[kTile][kTile];  // [column][row], transformed along the rows
  bool started_ = false;
};

// Calls f with the filter for this shape. Float32 keeps to the one that adds no noise to speak of. In bfloat16 it is
// the one with fewer products: F(4x4, 3x3) takes 2.25 for each pixel of y instead of 4, and as many for a tile that
// reaches beyond the image.
template <class Call>
void with_filter(const Conv3x3Shape& s, int64_t bytes, const Call& f) {
  const auto products = [&]<class F>(F) { return TileGrid(s, F::kStep).tiles * F::kPoints; };
  if (bytes == 2 && products(Filter4{}) < products(Filter2{}))
    f(Filter4{});
  else
    f(Filter2{});
}

}  // namespace
}  // namespace mfi
