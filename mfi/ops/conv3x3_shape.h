// The shape of a 3x3 convolution, as our own kernels know it.
#pragma once

#include <cstdint>

namespace mfi {

/// A 3x3 convolution with padding 1 and stride 1 or 2: x [batch, height, width, in], y [batch, out_height,
/// out_width, out], both dense channels-last.
struct Conv3x3Shape {
  int64_t batch, in, out, height, width, stride;

  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
};

}  // namespace mfi
