#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/data/dataset.h"

namespace mfi {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

// Its upper left pixel says which it is.
void write_png(const fs::path& path, uint32_t width, uint32_t height, uint8_t value) {
  fs::create_directories(path.parent_path());
  std::vector<uint8_t> pixels(size_t{width} * height * 3, 100);
  pixels[0] = value;
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = width;
  png.height = height;
  png.format = PNG_FORMAT_RGB;
  ASSERT_TRUE(png_image_write_to_file(&png, path.c_str(), 0, pixels.data(), 0, nullptr));
}

class Pictures : public testing::Test {
 protected:
  void SetUp() override {
    for (uint8_t i = 0; i < 6; ++i) {
      write_png(folder_ / ("train/a/" + std::to_string(i) + ".png"), 8, 8, i);
      write_png(folder_ / ("train/b/" + std::to_string(i) + ".png"), 8, 8, 50 + i);
    }
    write_png(folder_ / "test/a/0.png", 8, 8, 200);
  }

  DataSettings settings() const {
    DataSettings out;
    out.dataset = "pictures";
    return out;
  }

  TestFolder folder_;
};

TEST_F(Pictures, AreReadAsTheyAreWhereTheyAreSmallSquaresOfOneSize) {
  const auto data = open_data(settings(), folder_.path());
  EXPECT_EQ(data.train.images.sizes(), (torch::IntArrayRef{12, 3, 8, 8}));
  EXPECT_EQ(data.train.images[7][0][0][0].item<int>(), 51);
  EXPECT_EQ(data.train.images[7][1][0][0].item<int>(), 100);
  EXPECT_EQ(data.train.labels[7].item<int64_t>(), 1);
  EXPECT_EQ(data.test.images[0][0][0][0].item<int>(), 200);
  EXPECT_EQ(data.name, "pictures");
  const auto shape = data_shape(settings(), folder_.path());
  EXPECT_EQ(shape.classes, 2);
  EXPECT_EQ(shape.image_size, 8);
  EXPECT_EQ(shape.training_images, 12);
}

TEST_F(Pictures, AreBroughtToOneSize) {
  write_png(folder_ / "train/a/wide.png", 20, 10, 0);
  EXPECT_EQ(data_shape(settings(), folder_.path()).image_size, 224);
  auto small = settings();
  small.image_size = 5;
  EXPECT_EQ(open_data(small, folder_.path()).train.images.sizes(), (torch::IntArrayRef{13, 3, 5, 5}));
}

TEST_F(Pictures, AreLimitedAndHeldOutLikeOtherData) {
  auto few = settings();
  few.limit = 4;
  EXPECT_EQ(open_data(few, folder_.path()).train.size(), 4);
  EXPECT_EQ(data_shape(few, folder_.path()).training_images, 4);
  auto held = settings();
  held.validation = 0.5;
  EXPECT_EQ(open_data(held, folder_.path()).validation.size(), 6);
  EXPECT_EQ(data_shape(held, folder_.path()).training_images, 6);
  fs::create_directories(folder_ / "val/b");
  fs::copy(folder_ / "train/b/1.png", folder_ / "val/b/1.png");
  EXPECT_EQ(open_data(settings(), folder_.path()).validation.size(), 1);
}

TEST_F(Pictures, ThatAreBrokenAreNamed) {
  std::ofstream(folder_ / "train/a/bad.png") << "not a picture";
  std::ofstream(folder_ / "train/b/empty.jpg");
  const auto message = message_of<DataError>([&] { open_data(settings(), folder_.path()); });
  EXPECT_THAT(message, HasSubstr("train/a/bad.png: not a picture"));
  EXPECT_THAT(message, HasSubstr("train/b/empty.jpg"));
  EXPECT_THAT(message, HasSubstr("mfi inspect"));
}

TEST_F(Pictures, ThatDoNotFitIntoMemoryAreRefused) {
  auto huge = settings();
  huge.image_size = 4'000'000;
  EXPECT_THAT(message_of<DataError>([&] { open_data(huge, folder_.path()); }),
              HasSubstr("of memory, of which there is"));
}

}  // namespace
}  // namespace mfi
