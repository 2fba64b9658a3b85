#include "mfi/data/pictures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <cstdlib>
#include <fstream>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::HasSubstr;

TEST(RandomPart, LiesWithinThePictureAndCoversWhatWasAsked) {
  constexpr int64_t kWidth = 400, kHeight = 300;
  double least = 1, most = 0, narrowest = 10, widest = 0;
  for (uint64_t i = 0; i < 3000; ++i) {
    RandomStream stream(1, 2, i);
    const auto part = random_part(kWidth, kHeight, 0.25, stream);
    ASSERT_GE(part.left, 0);
    ASSERT_GE(part.top, 0);
    ASSERT_LE(part.left + part.width, kWidth);
    ASSERT_LE(part.top + part.height, kHeight);
    const auto width = static_cast<double>(part.width), height = static_cast<double>(part.height);
    const double area = width * height / (kWidth * kHeight);
    least = std::min(least, area);
    most = std::max(most, area);
    narrowest = std::min(narrowest, width / height);
    widest = std::max(widest, width / height);
  }
  // Rounding to whole pixels moves area and ratio by up to 1 in 150.
  EXPECT_NEAR(least, 0.25, 0.005);
  EXPECT_GT(most, 0.95);
  EXPECT_NEAR(narrowest, 0.75, 0.01);
  EXPECT_NEAR(widest, 1.333, 0.01);
}

TEST(RandomPart, DependsOnItsStreamAlone) {
  RandomStream a(7, 1, 3), b(7, 1, 3), c(7, 1, 4);
  const auto of = [](RandomStream& stream) {
    const auto part = random_part(500, 500, 0.08, stream);
    return std::vector{part.left, part.top, part.width, part.height};
  };
  const auto first = of(a);
  EXPECT_EQ(first, of(b));
  EXPECT_NE(first, of(c));
}

TEST(RandomPart, IsTheMiddleOfAPictureThatIsTooLongForAnyRatio) {
  RandomStream stream(0, 0, 0);
  const auto part = random_part(3000, 30, 0.9, stream);
  EXPECT_EQ(part.height, 30);
  EXPECT_EQ(part.width, 40);
  EXPECT_EQ(part.left, 1480);
  const auto tall = random_part(30, 3000, 0.9, stream);
  EXPECT_EQ(tall.width, 30);
  EXPECT_EQ(tall.height, 40);
}

// Red grows to the right, green downwards, so that a pixel says where it was.
RgbImage slopes(int64_t width, int64_t height) {
  RgbImage image{width, height, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      image.pixels.push_back(static_cast<uint8_t>(255 * x / width));
      image.pixels.push_back(static_cast<uint8_t>(255 * y / height));
      image.pixels.push_back(0);
    }
  return image;
}

class PicturesInFiles : public testing::Test {
 protected:
  std::shared_ptr<const Pictures> open(const PictureView& view) const {
    return pictures_in_files(open_file_tree(folder_.path()), folder_.path().string(), {{0, 0}}, view);
  }
  TestFolder folder_;
};

TEST_F(PicturesInFiles, AreSquaresForEvaluation) {
  replace_file(folder_ / "a.png", encode_png(slopes(40, 20)));
  const auto pictures = open({.side = 10});
  ASSERT_EQ(pictures->size(), 1);
  std::vector<uint8_t> planes(300);
  pictures->write(0, planes.data());
  std::vector<uint8_t> expected(300);
  write_planes(resized_middle(slopes(40, 20), 10, 1, ResizeFilter::bicubic), expected.data());
  EXPECT_EQ(planes, expected);
}

TEST_F(PicturesInFiles, GiveTheRandomPartThatTheStreamNames) {
  replace_file(folder_ / "a.png", encode_png(slopes(400, 300)));
  const auto pictures = open({.side = 16, .random_parts = true, .least_area = 0.2});
  for (uint64_t i = 0; i < 20; ++i) {
    RandomStream stream(1, 1, i), same(1, 1, i);
    std::vector<uint8_t> planes(3 * 256);
    pictures->write_random_part(0, stream, planes.data());
    const auto part = random_part(400, 300, 0.2, same);
    // The upper left result is the mean around half a step into the part.
    const double step = static_cast<double>(part.width) / 16;
    EXPECT_NEAR(planes[0], 255 * (static_cast<double>(part.left) + step / 2) / 400, 4) << i;
    EXPECT_NEAR(planes[256], 255 * (static_cast<double>(part.top) + static_cast<double>(part.height) / 32) / 300, 4)
        << i;
    EXPECT_NEAR(planes[255], 255 * (static_cast<double>(part.left + part.width) - step / 2) / 400, 4) << i;
  }
}

std::string encode_jpeg(const RgbImage& image) {
  const auto compressor = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(compressor, image.pixels.data(), static_cast<int>(image.width), 0,
                        static_cast<int>(image.height), TJPF_RGB, &bytes, &size, TJSAMP_444, /*quality=*/95, 0),
            0);
  std::string out(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(compressor);
  return out;
}

TEST_F(PicturesInFiles, DecodeALargeJpegReducedWithoutMovingTheParts) {
  replace_file(folder_ / "a.jpg", encode_jpeg(slopes(403, 301)));
  const auto pictures = open({.side = 24, .random_parts = true, .least_area = 0.5});
  const auto whole = pictures->whole(0);
  ASSERT_GE(std::min(whole.width, whole.height), 8 * 24);
  for (uint64_t i = 0; i < 10; ++i) {
    RandomStream stream(1, 1, i), same(1, 1, i);
    std::vector<uint8_t> planes(3 * 24 * 24), exact(3 * 24 * 24);
    pictures->write_random_part(0, stream, planes.data());
    const auto part = random_part(whole.width, whole.height, 0.5, same);
    write_planes(resized(whole, part, 24, 24, ResizeFilter::bicubic), exact.data());
    int64_t largest = 0;
    for (size_t p = 0; p < planes.size(); ++p)
      largest = std::max<int64_t>(largest, std::abs(int{planes[p]} - int{exact[p]}));
    EXPECT_LE(largest, 8) << i;  // a pixel of the result is worth 10 where the part is all of it
  }
}

TEST_F(PicturesInFiles, ThatAreBrokenAreNamed) {
  std::ofstream(folder_ / "a.png") << "no picture";
  const auto pictures = open({.side = 10});
  std::vector<uint8_t> planes(300);
  EXPECT_THAT(message_of<DataError>([&] { pictures->write(0, planes.data()); }), HasSubstr("/a.png: not a picture"));
}

}  // namespace
}  // namespace mfi
