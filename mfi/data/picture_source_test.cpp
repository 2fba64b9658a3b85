#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/data/dataset.h"
#include "mfi/data/pictures.h"

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

class PictureFolder : public testing::Test {
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

TEST_F(PictureFolder, AreReadAsTheyAreWhereTheyAreSmallSquaresOfOneSize) {
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

TEST_F(PictureFolder, AreBroughtToOneSize) {
  write_png(folder_ / "train/a/wide.png", 20, 10, 0);
  EXPECT_EQ(data_shape(settings(), folder_.path()).image_size, 224);
  auto small = settings();
  small.image_size = 5;
  EXPECT_EQ(open_data(small, folder_.path()).train.images.sizes(), (torch::IntArrayRef{13, 3, 5, 5}));
}

TEST_F(PictureFolder, AreLimitedAndHeldOutLikeOtherData) {
  auto few = settings();
  few.limit = 4;
  EXPECT_EQ(open_data(few, folder_.path()).train.size(), 4);
  EXPECT_EQ(data_shape(few, folder_.path()).training_images, 4);
  auto held = settings();
  held.validation = 0.5;
  EXPECT_EQ(open_data(held, folder_.path()).validation.size(), 6);
  EXPECT_EQ(data_shape(held, folder_.path()).training_images, 6);
  EXPECT_EQ(data_shape(held, folder_.path()).validation_images, 6);
  fs::create_directories(folder_ / "val/b");
  fs::copy(folder_ / "train/b/1.png", folder_ / "val/b/1.png");
  EXPECT_EQ(open_data(settings(), folder_.path()).validation.size(), 1);
  EXPECT_EQ(data_shape(settings(), folder_.path()).validation_images, 1);
}

TEST_F(PictureFolder, ThatAreBrokenAreNamed) {
  std::ofstream(folder_ / "train/a/bad.png") << "not a picture";
  std::ofstream(folder_ / "train/b/empty.jpg");
  const auto message = message_of<DataError>([&] { open_data(settings(), folder_.path()); });
  EXPECT_THAT(message, HasSubstr("train/a/bad.png: not a picture"));
  EXPECT_THAT(message, HasSubstr("train/b/empty.jpg"));
  EXPECT_THAT(message, HasSubstr("mfi inspect"));
}

// The same images wherever they are kept, but for what is drawn from reduced ones.
TEST_F(PictureFolder, AreTheSameInEveryCache) {
  for (int i = 0; i < 5; ++i) write_png(folder_ / ("train/a/wide" + std::to_string(i) + ".png"), 300, 200, 9);
  ::setenv("XDG_CACHE_HOME", (folder_ / ".cache").c_str(), 1);
  auto here = settings();
  here.image_size = 80;
  here.validation = 0.25;
  for (const auto* augment : {"shift", "resized-crop"}) {
    here.augment = augment;
    here.cache = "memory";
    const auto memory = open_data(here, folder_.path());
    for (const auto* cache : {"disk", "disk", "none"}) {  // made, and found
      here.cache = cache;
      const auto other = open_data(here, folder_.path());
      EXPECT_EQ(other.fingerprint, memory.fingerprint);
      EXPECT_EQ(other.normalisation.mean, memory.normalisation.mean);
      EXPECT_TRUE(torch::equal(other.test.first_images(1), memory.test.first_images(1)));
      EXPECT_TRUE(torch::equal(other.train.labels, memory.train.labels));
      EXPECT_TRUE(torch::equal(other.validation.labels, memory.validation.labels));
      EXPECT_TRUE(torch::equal(other.validation.first_images(4), memory.validation.first_images(4)));
      if (here.augment == "shift") {
        EXPECT_TRUE(torch::equal(other.train.first_images(13), memory.train.first_images(13)));
      }
    }
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / ".cache/mfi/pictures"), {}), 4);  // two, and their locks
}

TEST_F(PictureFolder, AreCutAtRandomWhereTheyAreLarge) {
  auto here = settings();
  EXPECT_FALSE(open_data(here, folder_.path()).train.pictures);  // 8 x 8
  here.image_size = 65;
  const auto large = open_data(here, folder_.path());
  ASSERT_TRUE(large.train.pictures);
  EXPECT_TRUE(large.train.pictures->view().random_parts);
  EXPECT_EQ(large.train.height(), 65);
  here.augment = "shift";
  EXPECT_FALSE(open_data(here, folder_.path()).train.pictures);
}

TEST_F(PictureFolder, HaveAFingerprintOfTheirFiles) {
  const auto print = [&] { return open_data(settings(), folder_.path()).fingerprint; };
  const auto before = print();
  EXPECT_EQ(before, print());
  write_png(folder_ / "train/a/3.png", 8, 8, 77);
  const auto after = print();
  EXPECT_NE(before, after);
  fs::rename(folder_ / "train/a/3.png", folder_ / "train/b/8.png");
  EXPECT_NE(after, print());
}

TEST_F(PictureFolder, SayHowFarTheyAreRead) {
  int64_t calls = 0;
  open_data(settings(), folder_.path(), [&](int64_t done, int64_t all) {
    ++calls;
    EXPECT_LE(done, all);
    EXPECT_EQ(all, 13);
  });
  EXPECT_EQ(calls, 0);  // less than a second
}

TEST_F(PictureFolder, ThatDoNotFitIntoMemoryAreRefused) {
  auto huge = settings();
  huge.image_size = 4'000'000;
  EXPECT_THAT(message_of<DataError>([&] { open_data(huge, folder_.path()); }),
              HasSubstr("of memory, of which there is"));
}

// Ten pictures of another size beside the twelve with labels.
class BesideUnlabelled : public PictureFolder {
 protected:
  void SetUp() override {
    PictureFolder::SetUp();
    for (uint8_t i = 0; i < 10; ++i) write_png(more_ / (std::to_string(i) + ".png"), 16, 12, 7);
  }
  TestFolder more_;
};

TEST_F(BesideUnlabelled, AreOfTheSameSizeAndWithoutLabels) {
  for (const char* cache : {"memory", "disk", "none"}) {
    auto with = settings();
    with.cache = cache;
    with.unlabelled = more_.path();
    const TestFolder store;
    setenv("XDG_CACHE_HOME", store.path().c_str(), 1);
    const auto data = open_data(with, folder_.path());
    EXPECT_EQ(data.train.size(), 12) << cache;
    EXPECT_EQ(data.labelled.size(), 12) << cache;
    EXPECT_EQ(data.all.size(), 22) << cache;
    EXPECT_EQ(data.unlabelled_pictures, 10) << cache;
    EXPECT_EQ(data.all.height(), 8) << cache;
    EXPECT_EQ(data.all.labels[11].item<int64_t>(), 1) << cache;
    EXPECT_EQ(data.all.labels[12].item<int64_t>(), kNoLabel) << cache;
    EXPECT_EQ(data.all.first_images(22).size(0), 22) << cache;
    EXPECT_FALSE(data.unlabelled_fingerprint.empty()) << cache;
    EXPECT_EQ(data_shape(with, folder_.path()).unlabelled_pictures, 10) << cache;
  }
  EXPECT_EQ(open_data(settings(), folder_.path()).all.size(), 12);
}

TEST_F(BesideUnlabelled, AreKnownWithoutBeingRead) {
  auto with = settings();
  with.unlabelled = more_.path();
  const auto read = open_data(with, folder_.path());
  with.unlabelled_to_learn = false;
  std::ofstream(more_ / "broken.png") << "no picture";
  EXPECT_NO_THROW(open_data(with, folder_.path()));
  fs::remove(more_ / "broken.png");
  const auto known = open_data(with, folder_.path());
  EXPECT_EQ(known.unlabelled_fingerprint, read.unlabelled_fingerprint);
  EXPECT_EQ(known.unlabelled_pictures, 10);
  EXPECT_EQ(known.all.size(), 12);
  // In memory once: the training images are the first of all.
  EXPECT_EQ(read.train.images.data_ptr(), read.all.images.data_ptr());
  EXPECT_EQ(read.labelled.images.data_ptr(), read.all.images.data_ptr());
}

TEST_F(BesideUnlabelled, StandBesideADatasetInMemoryToo) {
  DataSettings sample;
  sample.dataset = "sample";
  sample.limit = 100;
  sample.labelled = 0.1;
  sample.unlabelled = more_.path();
  const auto data = open_data(sample, {});
  EXPECT_EQ(data.train.size(), 100);
  EXPECT_EQ(data.labelled.size(), 10);
  EXPECT_EQ(data.all.images.sizes(), (torch::IntArrayRef{110, 3, 32, 32}));
  EXPECT_EQ((data.all.labels == kNoLabel).sum().item<int64_t>(), 100);
}

TEST_F(BesideUnlabelled, AreMissedWithAMessage) {
  auto wrong = settings();
  wrong.unlabelled = more_ / "nowhere";
  EXPECT_THROW(open_data(wrong, folder_.path()), NotFoundError);
}

}  // namespace
}  // namespace mfi
