#include <gmock/gmock.h>
#include <png.h>

#include <cstdlib>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/data/sources.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

/// A sheet whose tile t has red t, green its row within the tile, blue its column.
void write_sheet(const fs::path& path, int columns, int rows, int extra_columns = 0) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(columns * 32 + extra_columns);
  png.height = static_cast<png_uint_32>(rows * 32);
  png.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> pixels;
  for (uint32_t y = 0; y < png.height; ++y)
    for (uint32_t x = 0; x < png.width; ++x) {
      pixels.push_back(static_cast<uint8_t>(y / 32 * columns + x / 32));
      pixels.push_back(static_cast<uint8_t>(y % 32));
      pixels.push_back(static_cast<uint8_t>(x % 32));
    }
  ASSERT_TRUE(png_image_write_to_file(&png, path.c_str(), 0, pixels.data(), 0, nullptr));
}

void write_small_sample(const fs::path& folder) {
  write_sheet(folder / "train.png", 4, 3);  // 12 tiles, 6 a class
  write_sheet(folder / "test.png", 2, 1);
  replace_file(folder / "classes.txt", "cat\ndog\n");
}

TEST(ReadSample, CutsTheSheetIntoTilesRowByRow) {
  TestFolder folder;
  write_small_sample(folder.path());
  const LabelledSets sets = read_sample(folder.path());
  ASSERT_EQ(sets.train.images.sizes(), (std::vector<int64_t>{12, 3, 32, 32}));
  EXPECT_EQ(sets.test.size(), 2);
  for (int64_t t = 0; t < 12; ++t) {
    const auto image = sets.train.images[t].to(torch::kInt64);
    EXPECT_TRUE((image[0] == t).all().item<bool>()) << "tile " << t;
    EXPECT_TRUE(torch::equal(image[1], torch::arange(32).view({32, 1}).expand({32, 32})));
    EXPECT_TRUE(torch::equal(image[2], torch::arange(32).view({1, 32}).expand({32, 32})));
  }
}

TEST(ReadSample, LabelsTheClassesOneAfterAnother) {
  TestFolder folder;
  write_small_sample(folder.path());
  const LabelledSets sets = read_sample(folder.path());
  EXPECT_TRUE(torch::equal(sets.train.labels, torch::tensor({0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}, torch::kInt64)));
  EXPECT_EQ(sets.train.class_names, (std::vector<std::string>{"cat", "dog"}));
}

TEST(ReadSample, RefusesASheetThatDoesNotFit) {
  TestFolder folder;
  write_small_sample(folder.path());
  write_sheet(folder / "train.png", 3, 1);  // 3 tiles for 2 classes
  EXPECT_THAT(message_of<DataError>([&] { read_sample(folder.path()); }),
              AllOf(HasSubstr("train.png"), HasSubstr("96 x 32"), HasSubstr("2 classes")));
  write_sheet(folder / "train.png", 2, 1, /*extra_columns=*/1);
  EXPECT_THAT(message_of<DataError>([&] { read_sample(folder.path()); }), HasSubstr("65 x 32"));
}

TEST(ReadSample, SaysWhatAFolderLacks) {
  TestFolder folder;
  EXPECT_THAT(message_of<NotFoundError>([&] { read_sample(folder.path()); }), HasSubstr("train.png"));
  write_small_sample(folder.path());
  fs::remove(folder / "classes.txt");
  EXPECT_THAT(message_of<NotFoundError>([&] { read_sample(folder.path()); }), HasSubstr("classes.txt"));
}

TEST(FindSample, PrefersTheFolderNamedInTheEnvironment) {
  TestFolder folder;
  write_small_sample(folder.path());
  ::setenv("MFI_SAMPLE", folder.path().c_str(), 1);
  EXPECT_EQ(find_sample(), folder.path());
  EXPECT_EQ(read_sample("").source, folder.path().string());
  ::setenv("MFI_SAMPLE", (folder / "none").c_str(), 1);
  EXPECT_THAT(message_of<NotFoundError>([] { find_sample(); }), HasSubstr((folder / "none").string()));
  ::unsetenv("MFI_SAMPLE");
}

TEST(ReadSample, ReadsTheOneThatComesWithMfi) {
  ::unsetenv("MFI_SAMPLE");
  const LabelledSets sets = read_sample("");
  EXPECT_EQ(sets.train.images.sizes(), (std::vector<int64_t>{5000, 3, 32, 32}));
  EXPECT_EQ(sets.test.size(), 1000);
  EXPECT_EQ(sets.train.class_names.size(), 10u);
}

}  // namespace
}  // namespace mfi
