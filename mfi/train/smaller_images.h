// Progressive resizing: the first epochs see smaller images, which cost less.
#pragma once

#include "mfi/core/torch.h"

#include <cstdint>

#include "mfi/train/settings.h"

namespace mfi {

/// Pixels along a side of what epoch `epoch` (from 0) trains on, of images with `side`: in the first
/// round(small_until * epochs) epochs small_side of it, to the next multiple of 4 (which most strides divide), later
/// all of it. Never more than there are.
int64_t side_in_epoch(const StepSettings& settings, int64_t epoch, int64_t side);

/// What is left of a training of which `epoch` whole epochs and the share `done` of the next are behind it, in epochs
/// like that next one: an epoch's work goes with its images' pixels.
double epochs_of_work_left(const StepSettings& settings, int64_t epoch, double done, int64_t side);

/// Images [N, C, H, W] resized to side x side by bilinear interpolation over all pixels that a new one covers; of the
/// same type, channels-last. The images themselves where they have that size.
torch::Tensor resized_to(const torch::Tensor& images, int64_t side);

}  // namespace mfi
