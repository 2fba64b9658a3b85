// 3x3 convolutions with fewer multiplications, on AVX-512.
#pragma once

#include <cstdint>

#include "mfi/ops/conv3x3_shape.h"

namespace mfi {

/// What a layer's weights are used for. `gradient` is the gradient of the layer's input: the same convolution
/// over the gradient of its result, with the kernels turned by 180 degrees and input and output channels exchanged.
enum class ConvUse { forward, gradient };

/// Whether this machine has the instructions for activations of this width (2 bytes: bfloat16, 4: float32), and
/// the shape is one on which the kernel has been found to beat oneDNN's (docs/benchmarks.md): stride 1, and channels
/// enough that the transforms are small beside the products. A rule, not a measurement at run time: the two ways
/// differ by rounding, and the same seed shall give the same bytes. Where a processor has AMX, oneDNN's bfloat16
/// convolution is faster by more than is saved here, but its gradient of the weights is not.
bool has_winograd_conv(const Conv3x3Shape& shape, int64_t bytes);
bool has_winograd_weight_gradient(const Conv3x3Shape& shape, int64_t bytes);

/// Pixels of the result along a side of the tiles that are used for this shape: 2 or 4.
int64_t winograd_tile(const Conv3x3Shape& shape, int64_t bytes);

/// The weights as winograd_conv reads them for activations of type T: winograd_weight_size values at `to`, which lies
/// on a cache line. They serve every shape with the same channels and winograd_tile. weight is the layer's: a
/// channels-last [out, in, 3, 3] for `forward`, [in, out, 3, 3] for `gradient`, with in and out as in `shape`.
template <class T>
int64_t winograd_weight_size(const Conv3x3Shape& shape);
template <class T>
void winograd_lay_out_weight(const Conv3x3Shape& shape, const float* weight, ConvUse use, uint32_t* to);

/// What is done to a result before it is rounded and stored.
template <class T>
struct ConvEnding {
  const float* bias = nullptr;  // [out]
  const T* shortcut = nullptr;  // of y's shape
  bool relu = false;
};

/// y = conv(x) + bias; then + shortcut; then ReLU.
///
/// x and y are float32 or bfloat16 bits, weight is what winograd_lay_out_weight made, and the stride is 1.
///
/// Winograd's minimal filtering (Lavin and Gray 2015, arXiv:1509.09308). F(2x2, 3x3): 4x4 pixels of x that overlap
/// by two give 2x2 of y by 16 products a pair of channels instead of 36. In bfloat16, where it takes fewer products,
/// F(4x4, 3x3): 6x6 pixels give 4x4 by 36 products instead of 144. Products are added in float32.
///
/// In float32 the result is within 1e-5 of the exact one, relative to its largest value. In bfloat16 weighted sums of
/// pixels, and the weights that meet them, are rounded once more, and the larger tiles make more of that: the result is
/// within 3e-2. Its noise is 1 to 2 % of the result's standard deviation.
///
/// Works on at::get_num_threads() threads; the bits do not depend on how many.
template <class T>
void winograd_conv(const Conv3x3Shape& shape, const T* x, const uint32_t* weight, const ConvEnding<T>& ending, T* y);

/// gradient[o][row][column][i] (a channels-last [out, in, 3, 3], float32) =
///   sum over n, h, w of dy[n, h, w, o] * x[n, h + row - 1, w + column - 1, i]
///
/// By the same filtering, transposed: 16 products a pair of channels and tile of 2x2 instead of 36, or 36 for a tile of
/// 4x4 instead of 144. Sums are float32. In float32 the result is within 1e-4 of the exact one, relative to its largest
/// value; in bfloat16, where sums of pixels of both factors are rounded, within 3e-2.
///
/// Works on at::get_num_threads() threads. With many channels they share the points, and the bits do not depend on how
/// many there are; with up to 128 (in bfloat16) each adds up its share of the tiles, and the same number of threads
/// gives the same bits.
template <class T>
void winograd_weight_gradient(const Conv3x3Shape& shape, const T* x, const T* dy, float* gradient);

}  // namespace mfi
