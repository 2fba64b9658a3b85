// Pictures in the formats that people have: JPEG, PNG, WebP. No LibTorch here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mfi {

struct RgbImage {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3]
};

struct PictureInfo {
  std::string format;             // "JPEG", "PNG" or "WebP"
  int64_t width = 0, height = 0;  // as the file stores them
  int orientation = 1;            // EXIF's, 1 to 8: how it is to be turned
};

/// Whether a file is a picture by its name's ending: .jpg, .jpeg, .png or .webp, in any case.
bool has_picture_name(const std::string& name);

/// What a file's first part says, without decoding it. `name` stands for the file in messages. Throws DataError for
/// what is none of the three, is cut off within its header, or has more than kMostPixels.
PictureInfo picture_info(std::string_view bytes, const std::string& name);

/// A picture as 8-bit RGB, turned upright as its EXIF orientation says.
///
/// As Pillow's convert("RGB") has it: grey is spread over three channels, alpha is dropped, palettes are looked up,
/// CMYK in JPEG is taken to be inverted as Adobe writes it; of 16 bits the upper 8 remain. Throws DataError when the
/// file is damaged or cut off.
///
/// reduction: a JPEG may come out smaller by up to that factor (1, 2, 4 or 8, sides rounded up), which takes much less
/// time; each pixel is then about the mean of those that it stands for, as with Pillow's Image.draft.
///
/// doubt: where it is given, what the JPEG decoder complained of although it went on, as a disk's lost sector makes it;
/// the pixels behind it may be wrong.
RgbImage decode_picture(std::string_view bytes, const std::string& name, int64_t reduction = 1,
                        std::string* doubt = nullptr);

/// The picture as a PNG file.
std::string encode_png(const RgbImage& image);

/// 89 million, above which Pillow too takes a picture for a bomb.
constexpr int64_t kMostPixels = 89'478'485;

}  // namespace mfi
