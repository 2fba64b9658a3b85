#include "mfi/formats/picture.h"

#include <gmock/gmock.h>
#include <png.h>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/formats/safetensors.h"

namespace mfi {
namespace {

using testing::HasSubstr;

const std::filesystem::path kFolder = std::filesystem::path(MFI_SOURCE_DIR) / "mfi/formats/testdata";

const SafetensorsFile& expected() {  // scripts/make_picture_testdata.py
  static const auto file = read_safetensors(kFolder / "expected.safetensors");
  return file;
}

std::string bytes_of(const std::string& name) { return read_file(kFolder / name); }

TEST(Picture, HasThePixelsThatPillowReads) {
  int pictures = 0;
  for (const auto& tensor : expected().tensors) {
    if (tensor.name.starts_with("resize")) continue;
    const auto image = decode_picture(bytes_of(tensor.name), tensor.name);
    ASSERT_EQ(image.height, tensor.shape[0]) << tensor.name;
    ASSERT_EQ(image.width, tensor.shape[1]) << tensor.name;
    int worst = 0;
    for (size_t i = 0; i < image.pixels.size(); ++i)
      worst = std::max(worst, std::abs(image.pixels[i] - static_cast<int>(tensor.data[i])));
    EXPECT_LE(worst, 1) << tensor.name;
    ++pictures;
  }
  EXPECT_EQ(pictures, 40);
}

TEST(Picture, SaysSizeAndOrientationWithoutDecoding) {
  const auto info = picture_info(bytes_of("turned-6.jpg"), "x");
  EXPECT_EQ(info.format, "JPEG");
  EXPECT_EQ(info.width, 9);
  EXPECT_EQ(info.height, 6);
  EXPECT_EQ(info.orientation, 6);
  EXPECT_EQ(picture_info(bytes_of("lossy.webp"), "x").format, "WebP");
  EXPECT_EQ(picture_info(bytes_of("rgb.png"), "x").width, 37);
}

std::string refusal(const std::string& bytes) {
  return message_of<DataError>([&] { decode_picture(bytes, "folder/a.jpg"); });
}

TEST(Picture, RefusesFilesCutOffAnywhere) {
  for (const char* name :
       {"rgb.png", "palette.png", "photo.jpg", "progressive.jpg", "lossless-alpha.webp", "lossy.webp"}) {
    const auto whole = bytes_of(name);
    // A JPEG without its last two bytes, the mark of its end, still has all of its pixels.
    const size_t last = std::string(name).ends_with(".jpg") ? whole.size() - 2 : whole.size();
    for (size_t size = 0; size < last; size += 1 + size / 40)
      EXPECT_THAT(refusal(whole.substr(0, size)), HasSubstr("folder/a.jpg: ")) << name << ", " << size;
  }
}

// libjpeg-turbo's decoder, which a thread keeps, would go on within the broken header.
TEST(Picture, IsReadWhateverWasReadBefore) {
  const auto whole = bytes_of("photo.jpg");
  const auto pixels = decode_picture(whole, "photo.jpg").pixels;
  for (size_t size = 4; size < whole.size() - 2; size += 7) {
    EXPECT_NE(refusal(whole.substr(0, size)), "");
    EXPECT_EQ(decode_picture(whole, "photo.jpg").pixels, pixels) << size;
  }
}

TEST(Picture, SaysWhereTheDecoderHadDoubts) {
  const auto whole = bytes_of("photo.jpg");
  std::string doubt;
  decode_picture(whole, "photo.jpg", 1, &doubt);
  EXPECT_EQ(doubt, "");
  // Zeros in the midst of the pixels, as of a disk's lost sector: where they do not happen to be good codes.
  constexpr size_t kHeader = 623, kZeros = 40;
  int doubts = 0;
  for (size_t at = kHeader; at + kZeros + 100 < whole.size(); at += 10) {
    auto bytes = whole;
    bytes.replace(at, kZeros, kZeros, '\0');
    doubt.clear();
    try {
      decode_picture(bytes, "photo.jpg", 1, &doubt);
      doubts += !doubt.empty();
    } catch (const DataError&) {
      continue;
    }
  }
  EXPECT_GT(doubts, 0);
}

TEST(Picture, IsRefusedWhereItIsAnAnimation) {
  const std::string header("RIFF\x16\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0\x07\0\0\x07\0\0", 30);
  EXPECT_THAT(refusal(header), HasSubstr("a.jpg: an animated WebP, which mfi does not read"));
}

TEST(Picture, SaysWhatAFileIsThatIsNone) {
  EXPECT_THAT(refusal(""), HasSubstr("it is empty"));
  EXPECT_THAT(refusal("GIF89a..."), HasSubstr("it is a GIF"));
  EXPECT_THAT(refusal("<html>"), HasSubstr("it is text"));
  EXPECT_THAT(refusal("hello"), HasSubstr("no format that is known"));
}

TEST(Picture, RefusesOneThatIsTooLargeBeforeTakingMemory) {
  auto bytes = bytes_of("rgb.png");
  // 60,000 x 60,000, big-endian.
  for (const size_t at : {16, 20}) bytes.replace(at, 4, std::string("\x00\x00\xEA\x60", 4));
  EXPECT_THAT(refusal(bytes), HasSubstr("60000 x 60000 pixels, at most 89 million"));
}

}  // namespace
}  // namespace mfi
