#include "mfi/data/picture_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCount = 600;  // more than are decoded at a time

RgbImage numbered(int64_t index) {
  RgbImage image{1 + index % 7, 1 + index % 5, {}};
  image.pixels.assign(static_cast<size_t>(3 * image.width * image.height), static_cast<uint8_t>(index));
  return image;
}

void expect_numbered(const PictureStore& store) {
  ASSERT_EQ(store.size(), kCount);
  for (int64_t i = 0; i < kCount; ++i) {
    const auto size = store.size_of(i);
    const auto found = store.read(i);
    const auto expected = numbered(i);
    ASSERT_EQ(found.width, expected.width) << i;
    ASSERT_EQ(found.height, expected.height) << i;
    ASSERT_EQ(size.width, expected.width) << i;
    ASSERT_EQ(size.height, expected.height) << i;
    ASSERT_EQ(found.pixels, expected.pixels) << i;
  }
}

const auto kNothingToCheck = [] {};

TEST(PictureStore, HoldsPicturesInMemoryInOrder) { expect_numbered(*store_in_memory(kCount, numbered)); }

TEST(PictureStore, HoldsPicturesInAFileAndFindsThemThere) {
  const TestFolder folder;
  const auto file = folder / "cache/a.pictures";
  std::atomic<int64_t> made{0};
  const auto make = [&](int64_t index) {
    ++made;
    return numbered(index);
  };
  expect_numbered(*store_in_file(file, kCount, make, kNothingToCheck));
  EXPECT_EQ(made, kCount);
  expect_numbered(*store_in_file(file, kCount, make, kNothingToCheck));
  EXPECT_EQ(made, kCount);  // none anew
}

TEST(PictureStore, MakesAFileAnewThatIsNoWholeStoreOfAsMany) {
  const TestFolder folder;
  const auto file = folder / "a.pictures";
  store_in_file(file, kCount, numbered, kNothingToCheck);
  const auto whole = read_file(file);
  for (const auto& bytes : {std::string(), whole.substr(0, whole.size() - 1), whole.substr(1), whole + "x",
                            std::string(whole.size(), '\0')}) {
    std::ofstream(file, std::ios::binary) << bytes;
    expect_numbered(*store_in_file(file, kCount, numbered, kNothingToCheck));
    EXPECT_EQ(read_file(file), whole);
  }
  EXPECT_EQ(store_in_file(file, 5, numbered, kNothingToCheck)->size(), 5);
}

TEST(PictureStore, KeepsNoFileWhenTheCheckOrAPictureFails) {
  const TestFolder folder;
  const auto file = folder / "a.pictures";
  EXPECT_THROW(store_in_file(file, kCount, numbered, [] { throw DataError("broken"); }), DataError);
  EXPECT_FALSE(fs::exists(file));
  const auto fail_at_300 = [](int64_t index) {
    if (index == 300) throw NotFoundError("gone");
    return numbered(index);
  };
  EXPECT_THROW(store_in_file(file, kCount, fail_at_300, kNothingToCheck), NotFoundError);
  EXPECT_FALSE(fs::exists(file));
}

TEST(PictureStore, OfSeveralThatWantItAtOnceIsMadeByOne) {
  const TestFolder folder;
  std::atomic<int64_t> made{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        expect_numbered(*store_in_file(
            folder / "a.pictures", kCount,
            [&](int64_t index) {
              ++made;
              return numbered(index);
            },
            kNothingToCheck));
      });
  }
  EXPECT_EQ(made, kCount);
}

TEST(PictureStore, StaysReadableWhenItsFileIsDeleted) {
  const TestFolder folder;
  const auto store = store_in_file(folder / "a.pictures", kCount, numbered, kNothingToCheck);
  fs::remove(folder / "a.pictures");
  expect_numbered(*store);
}

TEST(PictureStore, SaysSoWhenItsFileIsCutOffInUse) {
  const TestFolder folder;
  const auto file = folder / "a.pictures";
  const auto store = store_in_file(file, kCount, numbered, kNothingToCheck);
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_EQ(store->read(0).pixels, numbered(0).pixels);
  try {
    store->read(kCount - 1);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("a.pictures: ends where pictures were"));
  }
}

TEST(PictureStore, GivesAPartOfItAsPictures) {
  const auto pictures = pictures_in_store(store_in_memory(kCount, numbered), 100, 50, {.side = 4});
  ASSERT_EQ(pictures->size(), 50);
  EXPECT_EQ(pictures->whole(49).pixels, numbered(149).pixels);
  std::vector<uint8_t> planes(3 * 16);
  pictures->write(7, planes.data());
  EXPECT_EQ(planes, std::vector<uint8_t>(3 * 16, 107));
}

}  // namespace
}  // namespace mfi
