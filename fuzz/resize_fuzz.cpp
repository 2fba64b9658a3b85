// Resizing, with sizes and crops from the input.
//
// Eight bytes: width, height, the crop's left, top, width, height (modulo what is there), the new width and height; a
// ninth: the filter and whether the image has one colour; pixels from the rest, over and over.
#include <array>

#include "fuzz/target.h"
#include "mfi/formats/resize.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  if (bytes.size() < 10) return;
  const auto byte = [&](size_t at) { return int64_t{static_cast<uint8_t>(bytes[at])}; };
  RgbImage image;
  image.width = byte(0) + 1;
  image.height = byte(1) + 1;
  const auto filter = byte(8) & 1 ? ResizeFilter::bilinear : ResizeFilter::bicubic;
  const bool one_colour = byte(8) & 2;
  const auto pixels = bytes.substr(9);
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(pixels[one_colour ? 0 : i % pixels.size()]);
  Crop part;
  part.left = byte(2) % image.width;
  part.top = byte(3) % image.height;
  part.width = byte(4) % (image.width - part.left) + 1;
  part.height = byte(5) % (image.height - part.top) + 1;
  const int64_t width = byte(6) + 1, height = byte(7) + 1;
  const auto out = resized(image, part, width, height, filter);
  require(out.width == width && out.height == height &&
              out.pixels.size() == static_cast<size_t>(width) * static_cast<size_t>(height) * 3,
          "the result has the size that was asked for");
  if (one_colour)
    for (const auto value : out.pixels) require(value == image.pixels[0], "one colour stays that colour");
  const double share = 0.5 + static_cast<double>(byte(2)) / 510;
  const auto middle = fitted(image, width, share, filter);
  require(middle.width == width && middle.height == width, "the middle is a square of the size that was asked for");
}

}  // namespace mfi::fuzz
