// Pictures of another size, as Pillow makes them. No LibTorch here.
#pragma once

#include <cstdint>
#include <string>

#include "mfi/formats/picture.h"

namespace mfi {

enum class ResizeFilter { bilinear, bicubic };

/// By its name in recipes and model files; "bicubic" and everything else is bicubic.
ResizeFilter resize_filter(const std::string& name);

/// A part of a picture, in whole pixels.
struct Crop {
  int64_t left = 0, top = 0, width = 0, height = 0;
};

/// The part of `image` as a picture of width x height: cut out first, then resized.
///
/// As Pillow's Image.crop and Image.resize: each pixel is a weighted mean of those under the filter, which grows with
/// the reduction (antialiasing); first along rows and then along columns, each rounded to 8 bits, in fixed-point
/// numbers of 22 bits. The result is Pillow's to the bit. Throws ShapeError for a part that is empty or not within the
/// image.
RgbImage resized(const RgbImage& image, const Crop& part, int64_t width, int64_t height, ResizeFilter filter);

/// The middle of the picture: its shorter side scaled to size / share, and the square of `size` in the middle cut out,
/// as torchvision's Resize and CenterCrop do. share 0.875 takes 224 of 256; 1: all of the shorter side.
RgbImage resized_middle(const RgbImage& image, int64_t size, double share, ResizeFilter filter);

/// The picture as a square of `size`: itself where it is one, else resized_middle.
RgbImage fitted(const RgbImage& image, int64_t size, double share, ResizeFilter filter);

/// Writes the pixels as three planes, one after another: 3 x height x width bytes.
void write_planes(const RgbImage& image, uint8_t* to);

}  // namespace mfi
