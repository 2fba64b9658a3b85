#include "mfi/data/loader.h"

#include <gmock/gmock.h>

#include <memory>
#include <thread>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/data/augment.h"
#include "mfi/data/picture_store.h"

namespace mfi {
namespace {

using testing::HasSubstr;

/// `count` images whose first pixel and label are the index.
Dataset numbered(int64_t count) {
  Dataset data;
  data.images = torch::zeros({count, 3, 32, 32}, torch::kUInt8);
  data.images.select(1, 0).select(1, 0).select(1, 0).copy_(torch::arange(count));
  data.labels = torch::arange(count, torch::kInt64);
  data.class_names = std::vector<std::string>(static_cast<size_t>(count), "c");
  return data;
}

LoaderSettings plain(int64_t batch_size) {
  LoaderSettings settings;
  settings.batch_size = batch_size;
  settings.shuffle = settings.augment = settings.drop_last = false;
  return settings;
}

std::vector<int64_t> labels_of_epoch(Loader& loader, int64_t epoch) {
  std::vector<int64_t> labels;
  loader.start_epoch(epoch);
  while (const auto batch = loader.next())
    labels.insert(labels.end(), batch->labels.data_ptr<int64_t>(),
                  batch->labels.data_ptr<int64_t>() + batch->labels.size(0));
  return labels;
}

/// All images of an epoch, in the dataset's order.
torch::Tensor images_of_epoch(Loader& loader, int64_t epoch) {
  std::vector<torch::Tensor> images, labels;
  loader.start_epoch(epoch);
  while (const auto batch = loader.next()) {
    images.push_back(batch->images);
    labels.push_back(batch->labels);
  }
  return torch::cat(images).index_select(0, torch::cat(labels).argsort());
}

std::vector<int64_t> counting(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(Loader, WalksInOrderWithoutShuffle) {
  Loader loader(numbered(50), plain(16));
  EXPECT_EQ(loader.batches_per_epoch(), 4);
  EXPECT_EQ(labels_of_epoch(loader, 0), counting(50));
  EXPECT_EQ(labels_of_epoch(loader, 1), counting(50));
}

TEST(Loader, GivesNormalisedChannelsLastImages) {
  const Dataset data = numbered(5);
  LoaderSettings settings = plain(5);
  settings.normalisation = {{0.1f, 0.2f, 0.3f}, {0.5f, 0.6f, 0.7f}};
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    settings.dtype = dtype;
    Loader loader(data, settings);
    loader.start_epoch(0);
    const auto batch = loader.next();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->images.sizes(), (std::vector<int64_t>{5, 3, 32, 32}));
    EXPECT_EQ(batch->images.scalar_type(), dtype);
    EXPECT_TRUE(batch->images.is_contiguous(torch::MemoryFormat::ChannelsLast));
    EXPECT_TRUE(torch::equal(batch->images, normalise(data.images, settings.normalisation, dtype)));
  }
}

TEST(Loader, DropsTheRestWhenAskedTo) {
  LoaderSettings settings = plain(16);
  settings.drop_last = true;
  Loader loader(numbered(50), settings);
  EXPECT_EQ(loader.batches_per_epoch(), 3);
  EXPECT_EQ(labels_of_epoch(loader, 0).size(), 48u);
}

TEST(Loader, ShufflesEachEpochAnewAndShowsEverySampleOnce) {
  LoaderSettings settings = plain(16);
  settings.shuffle = true;
  Loader loader(numbered(100), settings);
  auto first = labels_of_epoch(loader, 0), second = labels_of_epoch(loader, 1);
  EXPECT_NE(first, counting(100));
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, counting(100));
}

TEST(Loader, GivesAnEpochWithoutTheEpochsBeforeIt) {
  LoaderSettings settings = plain(16);
  settings.shuffle = settings.augment = true;
  settings.seed = 5;
  const Dataset data = numbered(60);
  Loader all(data, settings), resumed(data, settings);
  images_of_epoch(all, 0);
  images_of_epoch(all, 1);
  const auto expected = labels_of_epoch(all, 2);
  EXPECT_EQ(labels_of_epoch(resumed, 2), expected);
  EXPECT_TRUE(torch::equal(images_of_epoch(resumed, 2), images_of_epoch(all, 2)));
}

TEST(Loader, AugmentsASampleAlikeWhateverTheBatchSizeAndOrder) {
  const Dataset data = numbered(60);
  LoaderSettings settings = plain(16);
  settings.augment = true;
  Loader in_order(data, settings);
  settings.batch_size = 7;
  settings.shuffle = true;
  Loader shuffled(data, settings);
  EXPECT_TRUE(torch::equal(images_of_epoch(in_order, 3), images_of_epoch(shuffled, 3)));
  EXPECT_FALSE(torch::equal(images_of_epoch(in_order, 3), images_of_epoch(in_order, 4)));
}

TEST(Loader, AnotherSeedGivesAnotherOrder) {
  LoaderSettings settings = plain(16);
  settings.shuffle = true;
  Loader a(numbered(60), settings);
  settings.seed = 1;
  Loader b(numbered(60), settings);
  EXPECT_NE(labels_of_epoch(a, 0), labels_of_epoch(b, 0));
}

TEST(Loader, StartsAnEpochWhileAnotherIsUnderWay) {
  Loader loader(numbered(50), plain(4));
  loader.start_epoch(0);
  loader.next();
  loader.next();
  EXPECT_EQ(labels_of_epoch(loader, 1), counting(50));
}

TEST(Loader, StaysAtTheEndOfAnEpoch) {
  Loader loader(numbered(4), plain(4));
  loader.start_epoch(0);
  EXPECT_TRUE(loader.next());
  EXPECT_FALSE(loader.next());
  EXPECT_FALSE(loader.next());
}

TEST(Loader, HandsOutBatchesThatLaterOnesLeaveAlone) {
  Loader loader(numbered(64), plain(8));
  loader.start_epoch(0);
  const auto kept = loader.next();
  const auto copy = kept->images.clone();
  while (loader.next()) {
  }
  EXPECT_TRUE(torch::equal(kept->images, copy));
}

// The thread waits for room in the queue most of the time: destruction must wake it.
TEST(Loader, EndsCleanlyInTheMiddleOfAnEpoch) {
  for (int i = 0; i < 50; ++i) {
    Loader loader(numbered(64), plain(2));
    if (i % 3 > 0) loader.start_epoch(0);
    if (i % 3 > 1) loader.next();
  }
}

TEST(Loader, CarriesAnErrorOfItsThreadToTheCaller) {
  Dataset data = numbered(8);
  LoaderSettings settings = plain(8);
  // A batch of 4e18 values: the allocation fails on the thread.
  data.images = torch::zeros({1, 3, 1, 1}, torch::kUInt8).expand({8, 3, 1 << 28, 1 << 28});
  EXPECT_THROW(Loader(data, settings), ShapeError);  // not contiguous, so refused before it gets there
  data.images = torch::from_blob(&data, {8, 3, 1 << 28, 1 << 28}, torch::kUInt8);
  Loader loader(data, settings);
  loader.start_epoch(0);
  EXPECT_ANY_THROW(loader.next());
}

TEST(Loader, RefusesAnEmptyDatasetAndTooFewImages) {
  Dataset empty = numbered(0);
  EXPECT_THROW(Loader(empty, plain(4)), DataError);
  EXPECT_THROW(Loader(Dataset{}, plain(4)), DataError);
  LoaderSettings settings = plain(16);
  settings.drop_last = true;
  EXPECT_THAT(message_of<DataError>([&] { Loader(numbered(10), settings); }),
              HasSubstr("only 10 images for batches of 16"));
  settings.drop_last = false;
  EXPECT_NO_THROW(Loader(numbered(10), settings));
}

// With three shares of batches of 8, and a last one of 2, in which one share has nothing.
TEST(Loader, HandsOutSharesThatMakeUpEveryBatch) {
  auto settings = plain(8);
  settings.shuffle = settings.augment = true;
  Loader whole(numbered(50), settings);
  whole.start_epoch(2);
  std::vector<std::unique_ptr<Loader>> shares;
  for (int64_t index = 0; index < 3; ++index) {
    settings.share = {index, 3};
    shares.push_back(std::make_unique<Loader>(numbered(50), settings));
    EXPECT_EQ(shares.back()->batches_per_epoch(), 7);
    shares.back()->start_epoch(2);
  }
  while (const auto batch = whole.next()) {
    const int64_t size = batch->labels.size(0);
    EXPECT_EQ(batch->whole, size);
    for (int64_t index = 0; index < 3; ++index) {
      if (size == 2 && index == 2) continue;
      const auto share = shares[static_cast<size_t>(index)]->next();
      ASSERT_TRUE(share);
      EXPECT_EQ(share->whole, size);
      EXPECT_TRUE(torch::equal(share->labels, batch->labels.slice(0, index, size, 3)));
      EXPECT_TRUE(torch::equal(share->images, batch->images.slice(0, index, size, 3)));
    }
  }
  for (const auto& share : shares) EXPECT_FALSE(share->next());
}

// ---- Pictures -----------------------------------------------------------------------------------

RgbImage striped(int64_t index) {
  RgbImage image{40, 30, std::vector<uint8_t>(size_t{40} * 30 * 3)};
  for (size_t p = 0; p < image.pixels.size(); ++p) image.pixels[p] = static_cast<uint8_t>(index * 3 + 7 * p);
  return image;
}

Dataset pictures(int64_t count, const PictureView& view, const MakePicture& make = striped) {
  Dataset data;
  data.pictures = pictures_in_store(store_in_memory(count, make), 0, count, view);
  data.labels = torch::arange(count, torch::kInt64);
  data.class_names = std::vector<std::string>(static_cast<size_t>(count), "c");
  return data;
}

TEST(Loader, GivesPicturesAsEvaluationSeesThem) {
  const auto data = pictures(21, {.side = 16});
  Loader loader(data, plain(4));
  EXPECT_TRUE(torch::equal(images_of_epoch(loader, 0), normalise(data.first_images(21), {}, torch::kFloat32)));
}

TEST(Loader, GivesTheSameBatchesWithAnyNumberOfThreads) {
  for (const bool random_parts : {false, true}) {
    const auto data = pictures(64, {.side = 16, .random_parts = random_parts});
    LoaderSettings settings = plain(5);
    settings.shuffle = settings.augment = true;
    settings.threads = 1;
    Loader one(data, settings);
    settings.threads = 4;
    Loader four(data, settings);
    for (const int64_t epoch : {0, 1}) {
      EXPECT_EQ(labels_of_epoch(one, epoch), labels_of_epoch(four, epoch));
      EXPECT_TRUE(torch::equal(images_of_epoch(one, epoch), images_of_epoch(four, epoch)));
    }
    EXPECT_FALSE(torch::equal(images_of_epoch(one, 0), images_of_epoch(one, 1)));
  }
}

TEST(Loader, DrawsRandomPartsOnlyToAugment) {
  const auto data = pictures(8, {.side = 16, .random_parts = true});
  LoaderSettings settings = plain(8);
  Loader as_they_are(data, settings);
  const auto first = images_of_epoch(as_they_are, 0);
  EXPECT_TRUE(torch::equal(first, images_of_epoch(as_they_are, 1)));
  settings.augment = true;
  Loader augmented(data, settings);
  EXPECT_FALSE(torch::equal(first, images_of_epoch(augmented, 0)));
}

// A file that cannot be read: the batches before it are good, and it is no end that looks like one.
class Failing : public Pictures {
 public:
  Failing() : Pictures({.side = 4}) {}
  int64_t size() const override { return 40; }

 protected:
  Opened open(int64_t index) const override {
    if (index == 25) throw DataError("25.jpg: damaged");
    return {4, 4, [](int64_t) { return RgbImage{4, 4, std::vector<uint8_t>(48)}; }};
  }
};

TEST(Loader, ThrowsWhatIsWrongWithAPictureInItsTurn) {
  auto data = pictures(40, {.side = 4});
  data.pictures = std::make_shared<Failing>();
  LoaderSettings settings = plain(10);
  settings.threads = 3;
  Loader loader(data, settings);
  loader.start_epoch(0);
  EXPECT_TRUE(loader.next());
  EXPECT_TRUE(loader.next());
  EXPECT_EQ(message_of<DataError>([&] { loader.next(); }), "25.jpg: damaged");
  EXPECT_EQ(message_of<DataError>([&] { loader.next(); }), "25.jpg: damaged");
}

}  // namespace
}  // namespace mfi
