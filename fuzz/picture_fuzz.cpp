// Pictures: decoded, brought to a small square, and as PNG back and forth.
#include "fuzz/target.h"
#include "mfi/formats/picture.h"
#include "mfi/formats/resize.h"

namespace mfi::fuzz {

namespace {
constexpr int64_t kMostDecoded = 1 << 20;  // pixels; more takes too long to do often
}

void parse(std::string_view bytes) {
  const auto info = picture_info(bytes, "input");
  require(info.width >= 1 && info.height >= 1 && info.width <= kMostPixels / info.height, "a picture has its bounds");
  require(info.orientation >= 1 && info.orientation <= 8, "there are eight orientations");
  if (info.width > kMostDecoded / info.height) return;
  const auto image = decode_picture(bytes, "input");
  const bool swaps = info.orientation >= 5;
  require(image.width == (swaps ? info.height : info.width) && image.height == (swaps ? info.width : info.height),
          "a picture has the size that it announces");
  require(image.pixels.size() == static_cast<size_t>(image.width * image.height * 3), "every pixel is there");
  if (image.width / image.height < 1000 && image.height / image.width < 1000) {
    const auto small = fitted(image, 8, 0.875, ResizeFilter::bicubic);
    require(small.pixels.size() == 8 * 8 * 3, "it is brought to the size that was asked for");
  }
  if (image.pixels.size() > 100'000) return;
  const auto again = decode_picture(encode_png(image), "output");
  require(again.width == image.width && again.height == image.height && again.pixels == image.pixels,
          "PNG keeps every pixel");
}

}  // namespace mfi::fuzz
