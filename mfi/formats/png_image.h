// PNG files as plain pixels. No LibTorch here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace mfi {

struct RgbImage {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3]
};

/// Reads a PNG of any colour type as 8-bit RGB; what is transparent becomes black. Throws
/// NotFoundError when it cannot be opened, DataError when it is damaged or larger than 64 million
/// pixels.
RgbImage read_png(const std::filesystem::path& path);

}  // namespace mfi
