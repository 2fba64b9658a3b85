// The gradient of a depthwise convolution's weights: every channel convolved by itself.
#pragma once

#include <cstdint>

#include "mfi/ops/channel_passes.h"

namespace mfi {

/// A depthwise convolution of stride 1 that keeps the size: x and y [batch, height, width, channels], dense
/// channels-last; taps `dilation` pixels apart.
struct DepthwiseShape {
  int64_t batch, channels, height, width, kernel, dilation;
};

/// Whether there is one for this kernel: 3, 5 and 7 pixels along a side.
bool has_depthwise_weight_gradient(int64_t kernel);

/// gradient[channel][row][column] (float32, dense) = sum over n, h, w of
///   dy[n, h, w, channel] * x[n, h + (row - kernel / 2) * dilation, w + (column - kernel / 2) * dilation, channel]
///
/// Activations are float32 or bfloat16 (T = Bf16Bits), products and sums over an image float32, over images float64.
/// Works on at::get_num_threads() threads, each with its share of the images; the same number of threads gives the same
/// bits. For SSE4, AVX2 and AVX-512, as channel_passes.h.
///
/// oneDNN is fast where 3x3 taps lie side by side; else its gradients take 40 times as long (bfloat16, 128 images of 32
/// channels, 16x16 pixels).
template <class T>
void depthwise_weight_gradient(const DepthwiseShape& shape, const T* x, const T* dy, float* gradient);

}  // namespace mfi
