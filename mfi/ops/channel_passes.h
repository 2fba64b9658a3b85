// Passes over channels-last activations: what batch norm, a shortcut and ReLU need, and nothing more.
//
// A training step of a narrow ResNet spends more time moving activations than multiplying. These passes
// read and write each of them as seldom as the mathematics allows, two forward and two backward.
// Vectorised for the best of SSE4, AVX2 and AVX-512 that the machine has (google/highway).
#pragma once

#include <cstdint>
#include <vector>

namespace mfi {

/// A bfloat16's bits: the upper half of a float32's.
using Bf16Bits = uint16_t;

/// How flat channels-last activations [pixels, channels] are cut: into rows of `width` values, a multiple
/// of 64 in which every column belongs to one channel. The last row may be shorter.
///
/// Values per channel are repeated over a row once, so that no pass has to care how many channels fill a
/// vector register: 3 channels run as fast as 64.
struct ColumnLayout {
  ColumnLayout(int64_t pixels, int64_t channels);

  int64_t rows() const { return (values + width - 1) / width; }
  /// Values of rows [first, last).
  int64_t begin(int64_t first) const { return first * width; }
  int64_t end(int64_t last) const { return last * width < values ? last * width : values; }

  /// [channels] -> [width]
  std::vector<float> repeat(const float* per_channel) const;
  /// [width] -> [channels], adding up the columns of each channel
  std::vector<double> add_up(const std::vector<double>& per_column) const;

  int64_t channels, values, width;
};

/// Each pass works on `count` values that start at a row's first column; all pointers are to the first of
/// them. Column arrays hold `width` values. Activations are float (T = float) or bfloat16 (T = Bf16Bits),
/// arithmetic is float32, sums over more than a few hundred rows are float64.
///
/// Not-a-numbers are passed on by all of them, through ReLU too, but where a mask of values above 0 shuts them out.

/// Adds the sums of (y - pivot) and (y - pivot)^2 of every column to sum and sum_of_squares. A pivot near
/// the mean keeps the variance from cancelling.
template <class T>
void add_column_sums(const T* y, int64_t count, int64_t width, const float* pivot, double* sum, double* sum_of_squares);

/// out = y * scale + shift (+ shortcut), and then ReLU if asked for. shortcut may be null; out may be y or
/// the shortcut.
template <class T>
void scale_shift(const T* y, const T* shortcut, int64_t count, int64_t width, const float* scale, const float* shift,
                 bool relu, T* out);

/// out = tangent + shift where value > 0, else 0: the tangent of ReLU's result `value`. out may be tangent.
template <class T>
void shift_tangent(const T* tangent, const T* value, int64_t count, int64_t width, const float* shift, T* out);

/// With g = gradient where out > 0, else 0 (out null: g = gradient): adds the sums of g and of
/// g * (y - mean) of every column.
template <class T>
void add_gradient_sums(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* mean,
                       double* sum, double* sum_with_y);

/// With g as above: g into masked unless that is null, and adds the sums of g of every column to sum. masked
/// may be gradient.
template <class T>
void mask_gradient(const T* gradient, const T* out, int64_t count, int64_t width, double* sum, T* masked);

/// With g as above: y_gradient = g * a + y * b + c, and g itself into shortcut_gradient unless that is null.
/// y_gradient may be y, shortcut_gradient may be gradient.
template <class T>
void apply_gradient(const T* gradient, const T* out, const T* y, int64_t count, int64_t width, const float* a,
                    const float* b, const float* c, T* y_gradient, T* shortcut_gradient);

}  // namespace mfi
