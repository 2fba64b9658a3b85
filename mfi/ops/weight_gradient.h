// The gradient of a 3x3 convolution's weights in bfloat16, on AVX512-BF16.
#pragma once

#include <cstdint>

#include "mfi/ops/conv3x3_shape.h"

namespace mfi {

/// Whether this machine has the instructions, and the shape is one on which they have been found to pay:
/// at least 8 input channels, so that half of a register does useful work. A rule, not a measurement at run
/// time: the two ways differ by rounding, and the same seed shall give the same bytes.
bool has_weight_gradient_kernel(const Conv3x3Shape& shape);

/// gradient[o][row][column][i] (a channels-last [out, in, 3, 3], float32) =
///   sum over n, h, w of dy[n, h, w, o] * x[n, h * stride + row - 1, w * stride + column - 1, i]
///
/// x and dy are bfloat16 bits; products are exact, sums float32, each over a thread's images in turn. Over 2^17
/// pixels of independent values the result is within 1e-4 of the exact one, relative to its largest value; rounding
/// that always goes the same way could make that 4e-3. Works on at::get_num_threads() threads, each
/// with its share of the images; the same number of threads gives the same bits.
///
/// The instruction multiplies and adds pairs, and here pixels are what is summed over. So both operands are
/// first laid out in pairs of neighbouring pixels, in pieces that stay in a cache.
void weight_gradient(const Conv3x3Shape& shape, const uint16_t* x, const uint16_t* dy, float* gradient);

}  // namespace mfi
