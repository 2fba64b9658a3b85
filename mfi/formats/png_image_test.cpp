#include "mfi/formats/png_image.h"

#include <gmock/gmock.h>
#include <png.h>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::HasSubstr;

void write_png(const std::filesystem::path& path, uint32_t width, uint32_t height, uint32_t format,
               const std::vector<uint8_t>& pixels) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = width;
  png.height = height;
  png.format = format;
  ASSERT_TRUE(png_image_write_to_file(&png, path.c_str(), 0, pixels.data(), 0, nullptr)) << png.message;
}

TEST(ReadPng, GivesBackThePixels) {
  TestFolder folder;
  const std::vector<uint8_t> pixels{1, 2, 3, 250, 251, 252, 0, 255, 128, 9, 8, 7, 6, 5, 4, 77, 66, 55};
  write_png(folder / "a.png", 3, 2, PNG_FORMAT_RGB, pixels);
  const RgbImage image = read_png(folder / "a.png");
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.pixels, pixels);
}

TEST(ReadPng, SpreadsGreyOverThreeChannels) {
  TestFolder folder;
  write_png(folder / "a.png", 2, 1, PNG_FORMAT_GRAY, {10, 200});
  EXPECT_EQ(read_png(folder / "a.png").pixels, (std::vector<uint8_t>{10, 10, 10, 200, 200, 200}));
}

TEST(ReadPng, RefusesDamagedFiles) {
  TestFolder folder;
  std::vector<uint8_t> pixels(64 * 64 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * i);
  write_png(folder / "a.png", 64, 64, PNG_FORMAT_RGB, pixels);
  const std::string bytes = read_file(folder / "a.png");
  for (const size_t length : {size_t{0}, size_t{20}, bytes.size() / 2}) {
    replace_file(folder / "cut.png", std::string_view(bytes).substr(0, length));
    EXPECT_THAT(message_of<DataError>([&] { read_png(folder / "cut.png"); }), HasSubstr("cut.png")) << length;
  }
  EXPECT_THROW(read_png(folder / "none.png"), NotFoundError);
}

}  // namespace
}  // namespace mfi
