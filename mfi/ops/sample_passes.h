// Passes over one sample's values that do the arithmetic of paths and their velocities (mfi/flow). Vectorised as
// channel_passes.h is, float32 arithmetic on float32 or bfloat16 values.
#pragma once

#include <cstdint>

#include "mfi/ops/channel_passes.h"

namespace mfi {

/// out = z0 + t * (z1 - z0)
template <class T>
void interpolate(const T* z0, const T* z1, float t, int64_t count, T* out);

/// difference = u - (z1 - z0) + step * derivative (null: none). Returns the sum of its squares, from before it is
/// rounded to T; float32 within a few thousand values, float64 beyond. difference may be u.
template <class T>
double velocity_difference(const T* u, const T* z0, const T* z1, const T* derivative, float step, int64_t count,
                           T* difference);

/// out = factor * x, and -out into negative unless that is null.
template <class T>
void scale(const T* x, float factor, int64_t count, T* out, T* negative);

}  // namespace mfi
