#include "mfi/formats/png_image.h"

#include <png.h>

#include <string>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"

namespace mfi {

RgbImage read_png(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  struct Freed {
    png_image* png;
    ~Freed() { png_image_free(png); }
  } freed{&png};
  const auto fail = [&] { throw DataError(path.string() + ": not a readable PNG file: " + png.message); };

  if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size())) fail();
  constexpr uint64_t kMaxPixels = 64'000'000;
  if (uint64_t{png.width} * png.height > kMaxPixels)
    throw DataError(path.string() + ": it has " + std::to_string(png.width) + " x " + std::to_string(png.height) +
                    " pixels, at most 64 million are read");
  png.format = PNG_FORMAT_RGB;
  RgbImage image{png.width, png.height, std::vector<uint8_t>(PNG_IMAGE_SIZE(png))};
  const png_color black{0, 0, 0};
  if (!png_image_finish_read(&png, &black, image.pixels.data(), 0, nullptr)) fail();
  return image;
}

}  // namespace mfi
