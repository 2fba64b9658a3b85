#include "mfi/ops/channel_passes.h"

#include <algorithm>
#include <numeric>
#include <type_traits>

// Compiles what stands between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE once for each kind of machine.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mfi/ops/channel_passes.cpp"
#include <hwy/foreach_target.h>
#include "mfi/ops/vectors-inl.h"

#ifndef MFI_OPS_PASS_TABLE  // this file includes itself
#define MFI_OPS_PASS_TABLE
namespace mfi {

// The passes as compiled for one kind of machine.
template <class T>
struct PassTable {
  decltype(&add_column_sums<T>) column_sums;
  decltype(&scale_shift<T>) scale_shift;
  decltype(&shift_tangent<T>) shift_tangent;
  decltype(&add_gradient_sums<T>) gradient_sums;
  decltype(&mask_gradient<T>) mask_gradient;
  decltype(&apply_gradient<T>) apply_gradient;
};

}  // namespace mfi
#endif

HWY_BEFORE_NAMESPACE();
namespace mfi {
namespace HWY_NAMESPACE {

constexpr int64_t kBlock = 4 * kLanes;  // columns that a reduction keeps in registers

// Values of a column block that are summed up in float32: small enough to stay in the first-level cache
// with what belongs to them.
constexpr int64_t kTileValues = 8192;

// maxps gives its second operand when one is not a number, so that a NaN in v stays.
HWY_INLINE Vector relu_of(Vector v) { return hn::Max(hn::Zero(kFloats), v); }
HWY_INLINE float relu_of(float v) { return v < 0 ? 0 : v; }

HWY_INLINE void add_block(const Vector* sums, double* into) {
  HWY_ALIGN float values[kBlock];
  for (int64_t k = 0; k < 4; ++k) hn::Store(sums[k], kFloats, values + k * kLanes);
  for (int64_t k = 0; k < kBlock; ++k) into[k] += values[k];
}

// Calls block(first_row, last_row, first_column) for every column block of every tile of the whole rows.
template <class Block>
HWY_INLINE void for_each_tile(int64_t rows, int64_t width, const Block& block) {
  const int64_t tile = std::max<int64_t>(1, kTileValues / width);
  for (int64_t first = 0; first < rows; first += tile) {
    const int64_t last = std::min(rows, first + tile);
    for (int64_t column = 0; column < width; column += kBlock) block(first, last, column);
  }
}

template <class T>
void column_sums(const T* y, int64_t count, int64_t width, const float* pivot, double* sum, double* sum_of_squares) {
  const int64_t rows = count / width;
  for_each_tile(rows, width, [&](int64_t first, int64_t last, int64_t column) HWY_ATTR {
    Vector p[4], s[4], q[4];
    for (int64_t k = 0; k < 4; ++k) {
      p[k] = load(pivot + column + k * kLanes);
      s[k] = q[k] = hn::Zero(kFloats);
    }
    for (int64_t row = first; row < last; ++row) {
      const T* from = y + row * width + column;
      for (int64_t k = 0; k < 4; ++k) {
        const auto v = hn::Sub(load(from + k * kLanes), p[k]);
        s[k] = hn::Add(s[k], v);
        q[k] = hn::MulAdd(v, v, q[k]);
      }
    }
    add_block(s, sum + column);
    add_block(q, sum_of_squares + column);
  });
  for (int64_t i = rows * width, column = 0; i < count; ++i, ++column) {
    const double v = load_one(y + i) - pivot[column];
    sum[column] += v;
    sum_of_squares[column] += v * v;
  }
}

template <class T, bool kShortcut, bool kRelu>
void scale_shift_rows(const T* y, const T* shortcut, int64_t count, int64_t width, const float* scale,
                      const float* shift, T* out) {
  const int64_t rows = count / width;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < width; column += kLanes) {
      const int64_t i = row * width + column;
      auto v = hn::MulAdd(load(y + i), load(scale + column), load(shift + column));
      if constexpr (kShortcut) v = hn::Add(v, load(shortcut + i));
      if constexpr (kRelu) v = relu_of(v);
      store(v, out + i);
    }
  for (int64_t i = rows * width, column = 0; i < count; ++i, ++column) {
    float v = load_one(y + i) * scale[column] + shift[column];
    if constexpr (kShortcut) v += load_one(shortcut + i);
    if constexpr (kRelu) v = relu_of(v);
    store_one(v, out + i);
  }
}

template <class T>
void scale_shift_any(const T* y, const T* shortcut, int64_t count, int64_t width, const float* scale,
                     const float* shift, bool relu, T* out) {
  const auto rows = shortcut ? (relu ? scale_shift_rows<T, true, true> : scale_shift_rows<T, true, false>)
                             : (relu ? scale_shift_rows<T, false, true> : scale_shift_rows<T, false, false>);
  rows(y, shortcut, count, width, scale, shift, out);
}

template <class T>
void shift_tangent_rows(const T* tangent, const T* value, int64_t count, int64_t width, const float* shift, T* out) {
  const int64_t rows = count / width;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < width; column += kLanes) {
      const int64_t i = row * width + column;
      const auto passes = hn::Gt(load(value + i), hn::Zero(kFloats));
      store(hn::IfThenElseZero(passes, hn::Add(load(tangent + i), load(shift + column))), out + i);
    }
  for (int64_t i = rows * width, column = 0; i < count; ++i, ++column)
    store_one(load_one(value + i) > 0 ? load_one(tangent + i) + shift[column] : 0.0f, out + i);
}

template <bool kRelu, class T>
HWY_INLINE Vector passed_gradient(const T* gradient, const T* out, int64_t i) {
  const auto g = load(gradient + i);
  if constexpr (!kRelu) return g;
  return hn::IfThenElseZero(hn::Gt(load(out + i), hn::Zero(kFloats)), g);
}

template <bool kRelu, class T>
HWY_INLINE float passed_gradient_one(const T* gradient, const T* out, int64_t i) {
  if constexpr (!kRelu) return load_one(gradient + i);
  return load_one(out + i) > 0 ? load_one(gradient + i) : 0;
}

template <class T, bool kRelu>
void gradient_sums_of(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* mean,
                      double* sum, double* sum_with_y) {
  const int64_t rows = count / width;
  for_each_tile(rows, width, [&](int64_t first, int64_t last, int64_t column) HWY_ATTR {
    Vector m[4], s[4], q[4];
    for (int64_t k = 0; k < 4; ++k) {
      m[k] = load(mean + column + k * kLanes);
      s[k] = q[k] = hn::Zero(kFloats);
    }
    for (int64_t row = first; row < last; ++row)
      for (int64_t k = 0; k < 4; ++k) {
        const int64_t i = row * width + column + k * kLanes;
        const auto g = passed_gradient<kRelu>(gradient, out, i);
        s[k] = hn::Add(s[k], g);
        q[k] = hn::MulAdd(g, hn::Sub(load(y + i), m[k]), q[k]);
      }
    add_block(s, sum + column);
    add_block(q, sum_with_y + column);
  });
  for (int64_t i = rows * width, column = 0; i < count; ++i, ++column) {
    const float g = passed_gradient_one<kRelu>(gradient, out, i);
    sum[column] += g;
    sum_with_y[column] += g * (load_one(y + i) - mean[column]);
  }
}

template <class T>
void gradient_sums(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* mean,
                   double* sum, double* sum_with_y) {
  (out ? gradient_sums_of<T, true> : gradient_sums_of<T, false>)(gradient, out, y, count, width, mean, sum, sum_with_y);
}

template <class T, bool kRelu, bool kWrite>
void mask_gradient_of(const T* gradient, const T* out, int64_t count, int64_t width, double* sum, T* masked) {
  const int64_t rows = count / width;
  for_each_tile(rows, width, [&](int64_t first, int64_t last, int64_t column) HWY_ATTR {
    Vector s[4];
    for (int64_t k = 0; k < 4; ++k) s[k] = hn::Zero(kFloats);
    for (int64_t row = first; row < last; ++row)
      for (int64_t k = 0; k < 4; ++k) {
        const int64_t i = row * width + column + k * kLanes;
        const auto g = passed_gradient<kRelu>(gradient, out, i);
        s[k] = hn::Add(s[k], g);
        if constexpr (kWrite) store(g, masked + i);
      }
    add_block(s, sum + column);
  });
  for (int64_t i = rows * width, column = 0; i < count; ++i, ++column) {
    const float g = passed_gradient_one<kRelu>(gradient, out, i);
    sum[column] += g;
    if constexpr (kWrite) store_one(g, masked + i);
  }
}

template <class T>
void mask_gradient_any(const T* gradient, const T* out, int64_t count, int64_t width, double* sum, T* masked) {
  const auto pass = masked ? (out ? mask_gradient_of<T, true, true> : mask_gradient_of<T, false, true>)
                           : (out ? mask_gradient_of<T, true, false> : mask_gradient_of<T, false, false>);
  pass(gradient, out, count, width, sum, masked);
}

template <class T, bool kRelu, bool kShortcut>
void apply_gradient_rows(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* a,
                         const float* b, const float* c, T* y_gradient, T* shortcut_gradient) {
  const int64_t rows = count / width;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < width; column += kLanes) {
      const int64_t i = row * width + column;
      const auto g = passed_gradient<kRelu>(gradient, out, i);
      const auto rest = hn::MulAdd(load(y + i), load(b + column), load(c + column));
      if constexpr (kShortcut) store(g, shortcut_gradient + i);
      store(hn::MulAdd(g, load(a + column), rest), y_gradient + i);
    }
  for (int64_t i = rows * width, column = 0; i < count; ++i, ++column) {
    const float g = passed_gradient_one<kRelu>(gradient, out, i);
    const float rest = load_one(y + i) * b[column] + c[column];
    if constexpr (kShortcut) store_one(g, shortcut_gradient + i);
    store_one(g * a[column] + rest, y_gradient + i);
  }
}

template <class T>
void apply_gradient_any(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* a,
                        const float* b, const float* c, T* y_gradient, T* shortcut_gradient) {
  const auto rows = shortcut_gradient
                        ? (out ? apply_gradient_rows<T, true, true> : apply_gradient_rows<T, false, true>)
                        : (out ? apply_gradient_rows<T, true, false> : apply_gradient_rows<T, false, false>);
  rows(gradient, out, y, count, width, a, b, c, y_gradient, shortcut_gradient);
}

template <class T>
PassTable<T> pass_table() {
  return {column_sums<T>,   scale_shift_any<T>,   shift_tangent_rows<T>,
          gradient_sums<T>, mask_gradient_any<T>, apply_gradient_any<T>};
}

// HWY_EXPORT takes no templates.
PassTable<float> float_passes() { return pass_table<float>(); }
PassTable<Bf16Bits> bf16_passes() { return pass_table<Bf16Bits>(); }

}  // namespace HWY_NAMESPACE
}  // namespace mfi
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfi {
namespace {

HWY_EXPORT(float_passes);
HWY_EXPORT(bf16_passes);

// Of the machine that this runs on.
template <class T>
PassTable<T> passes() {
  if constexpr (std::is_same_v<T, float>)
    return HWY_DYNAMIC_DISPATCH(float_passes)();
  else
    return HWY_DYNAMIC_DISPATCH(bf16_passes)();
}

}  // namespace

ColumnLayout::ColumnLayout(int64_t pixels, int64_t channels)
    : channels(channels), values(pixels * channels), width(std::lcm(channels, int64_t{64})) {}

std::vector<float> ColumnLayout::repeat(const float* per_channel) const {
  std::vector<float> out(static_cast<size_t>(width));
  for (int64_t i = 0; i < width; i += channels) std::copy_n(per_channel, channels, out.begin() + i);
  return out;
}

std::vector<double> ColumnLayout::add_up(const std::vector<double>& per_column) const {
  std::vector<double> out(static_cast<size_t>(channels));
  for (int64_t i = 0; i < width; i += channels)
    for (int64_t c = 0; c < channels; ++c) out[static_cast<size_t>(c)] += per_column[static_cast<size_t>(i + c)];
  return out;
}

template <class T>
void add_column_sums(const T* y, int64_t count, int64_t width, const float* pivot, double* sum,
                     double* sum_of_squares) {
  passes<T>().column_sums(y, count, width, pivot, sum, sum_of_squares);
}

template <class T>
void scale_shift(const T* y, const T* shortcut, int64_t count, int64_t width, const float* scale, const float* shift,
                 bool relu, T* out) {
  passes<T>().scale_shift(y, shortcut, count, width, scale, shift, relu, out);
}

template <class T>
void shift_tangent(const T* tangent, const T* value, int64_t count, int64_t width, const float* shift, T* out) {
  passes<T>().shift_tangent(tangent, value, count, width, shift, out);
}

template <class T>
void add_gradient_sums(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* mean,
                       double* sum, double* sum_with_y) {
  passes<T>().gradient_sums(gradient, out, y, count, width, mean, sum, sum_with_y);
}

template <class T>
void mask_gradient(const T* gradient, const T* out, int64_t count, int64_t width, double* sum, T* masked) {
  passes<T>().mask_gradient(gradient, out, count, width, sum, masked);
}

template <class T>
void apply_gradient(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* a,
                    const float* b, const float* c, T* y_gradient, T* shortcut_gradient) {
  passes<T>().apply_gradient(gradient, out, y, count, width, a, b, c, y_gradient, shortcut_gradient);
}

#define MFI_INSTANTIATE(T)                                                                                            \
  template void add_column_sums<T>(const T*, int64_t, int64_t, const float*, double*, double*);                       \
  template void scale_shift<T>(const T*, const T*, int64_t, int64_t, const float*, const float*, bool, T*);           \
  template void shift_tangent<T>(const T*, const T*, int64_t, int64_t, const float*, T*);                             \
  template void add_gradient_sums<T>(const T*, const T*, const T*, int64_t, int64_t, const float*, double*, double*); \
  template void mask_gradient<T>(const T*, const T*, int64_t, int64_t, double*, T*);                                  \
  template void apply_gradient<T>(const T*, const T*, const T*, int64_t, int64_t, const float*, const float*,         \
                                  const float*, T*, T*)
MFI_INSTANTIATE(float);
MFI_INSTANTIATE(Bf16Bits);
#undef MFI_INSTANTIATE

}  // namespace mfi
#endif  // HWY_ONCE
