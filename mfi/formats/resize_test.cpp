#include "mfi/formats/resize.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/formats/safetensors.h"

namespace mfi {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(MFI_SOURCE_DIR) / "mfi/formats/testdata";

RgbImage photo() { return decode_picture(read_file(kFolder / "photo.png"), "photo.png"); }

TEST(Resize, IsPillowsToTheBit) {
  const auto file = read_safetensors(kFolder / "expected.safetensors");  // scripts/make_picture_testdata.py
  int cases = 0;
  for (const auto& tensor : file.tensors) {
    char filter[16];
    long long left, top, right, bottom, width, height;
    if (std::sscanf(tensor.name.c_str(), "resize %15s %lld,%lld,%lld,%lld %lldx%lld", filter, &left, &top, &right,
                    &bottom, &width, &height) != 7)
      continue;
    const auto kind = std::string(filter) == "bilinear" ? ResizeFilter::bilinear : ResizeFilter::bicubic;
    const auto made = resized(photo(), {left, top, right - left, bottom - top}, width, height, kind);
    ASSERT_EQ(made.pixels.size(), tensor.bytes) << tensor.name;
    int worst = 0;
    for (size_t i = 0; i < tensor.bytes; ++i)
      worst = std::max(worst, std::abs(made.pixels[i] - static_cast<int>(tensor.data[i])));
    EXPECT_EQ(worst, 0) << tensor.name;
    ++cases;
  }
  EXPECT_EQ(cases, 14);
}

TEST(Resize, TakesTheMiddle) {
  const auto image = photo();  // 61 x 47
  const auto all = resized_middle(image, 47, 1, ResizeFilter::bicubic);
  ASSERT_EQ(all.width, 47);
  ASSERT_EQ(all.height, 47);
  for (int64_t c = 0; c < 3; ++c)
    EXPECT_EQ(all.pixels[static_cast<size_t>(c)], image.pixels[static_cast<size_t>(7 * 3 + c)]);
  const auto part = resized_middle(image, 28, 0.875, ResizeFilter::bilinear);
  EXPECT_EQ(part.width, 28);
  EXPECT_EQ(part.height, 28);
}

TEST(Resize, RefusesPartsThatAreNotThere) {
  for (const Crop& part :
       {Crop{-1, 0, 5, 5}, Crop{0, 0, 62, 5}, Crop{60, 0, 2, 5}, Crop{0, 40, 5, 8}, Crop{0, 0, 0, 5}})
    EXPECT_THROW(resized(photo(), part, 4, 4, ResizeFilter::bilinear), ShapeError);
}

}  // namespace
}  // namespace mfi
