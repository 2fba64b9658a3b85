#include "mfi/data/dataset.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

using testing::AllOf;
using testing::HasSubstr;

DataSettings sample(int64_t limit = 0, double validation = 0, uint64_t seed = 0) {
  DataSettings out;
  out.dataset = "sample";
  out.validation = validation;
  out.limit = limit;
  out.seed = seed;
  return out;
}

TEST(OpenData, HoldsOutAShareOfEveryClass) {
  const DataSplits splits = open_data(sample(500, 0.1), "");
  EXPECT_EQ(splits.train.size(), 450);
  EXPECT_EQ(splits.validation.size(), 50);
  for (int64_t c = 0; c < 10; ++c) EXPECT_EQ((splits.validation.labels == c).sum().item<int64_t>(), 5);
}

TEST(OpenData, HoldsOutTheSameImagesForTheSameSeed) {
  const auto held = [](uint64_t seed) { return open_data(sample(500, 0.1, seed), "").validation.images; };
  EXPECT_TRUE(torch::equal(held(3), held(3)));
  EXPECT_FALSE(torch::equal(held(3), held(4)));
}

TEST(OpenData, HoldsOutNothingByDefault) {
  const DataSplits splits = open_data(sample(100), "");
  EXPECT_EQ(splits.train.size(), 100);
  EXPECT_EQ(splits.validation.size(), 0);
}

TEST(OpenData, LimitsTrainingAndTestImages) {
  const DataSplits splits = open_data(sample(20), "");
  EXPECT_EQ(splits.train.size(), 20);
  EXPECT_EQ(splits.test.size(), 20);
  for (int64_t c = 0; c < 10; ++c) EXPECT_EQ((splits.train.labels == c).sum().item<int64_t>(), 2);
}

TEST(OpenData, KeepsNormalisationWhateverIsLeftOut) {
  const auto all = open_data(sample(), "").normalisation, few = open_data(sample(20, 0.2), "").normalisation;
  EXPECT_EQ(all.mean, few.mean);
  EXPECT_EQ(all.stddev, few.stddev);
}

TEST(OpenData, FingerprintIgnoresWhatIsHeldOut) {
  EXPECT_EQ(open_data(sample(100), "").fingerprint, open_data(sample(100, 0.1, 7), "").fingerprint);
  EXPECT_NE(open_data(sample(100), "").fingerprint, open_data(sample(200), "").fingerprint);
}

TEST(OpenData, RefusesSettingsOutOfRange) {
  EXPECT_THAT(message_of<RecipeError>([] { open_data({.dataset = "cifar10"}, ""); }),
              AllOf(HasSubstr("\"cifar10\""), HasSubstr("did you mean cifar-10")));
  EXPECT_THAT(message_of<RecipeError>([] { open_data(sample(0, 0.6), ""); }), HasSubstr("data.validation is 0.6"));
  EXPECT_THAT(message_of<RecipeError>([] { open_data(sample(-1), ""); }), HasSubstr("data.limit is -1"));
}

TEST(MeasureNormalisation, MatchesAClosedForm) {
  Dataset data;
  data.labels = torch::zeros({2}, torch::kInt64);
  data.images = torch::zeros({2, 3, 2, 2}, torch::kUInt8);
  data.images[1].fill_(200);           // mean 100, standard deviation 100
  data.images.select(1, 2).fill_(51);  // constant: 1/255 stands for a deviation of zero
  const Normalisation measured = measure_normalisation(data);
  EXPECT_FLOAT_EQ(measured.mean[0], 100 / 255.0f);
  EXPECT_FLOAT_EQ(measured.stddev[0], 100 / 255.0f);
  EXPECT_FLOAT_EQ(measured.mean[2], 0.2f);
  EXPECT_FLOAT_EQ(measured.stddev[2], 1 / 255.0f);
}

// The published constants are rounded to four digits.
TEST(OpenData, NormalisesCifarByItsMeasuredValues) {
  const char* folder = std::getenv("MFI_DATA");
  for (const std::string name : {"cifar-10", "cifar-100"}) {
    if (!folder || !std::filesystem::exists(std::filesystem::path(folder) /
                                            (name == "cifar-10" ? "cifar-10-batches-bin" : "cifar-100-binary")))
      GTEST_SKIP() << "set MFI_DATA to a folder that holds " << name;
    const DataSplits splits = open_data({.dataset = name}, folder);
    EXPECT_EQ(splits.train.size(), 50000);
    EXPECT_EQ(splits.test.size(), 10000);
    const Normalisation measured = measure_normalisation(splits.train);
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(measured.mean[c], splits.normalisation.mean[c], 6e-5) << name << " channel " << c;
      EXPECT_NEAR(measured.stddev[c], splits.normalisation.stddev[c], 6e-5) << name << " channel " << c;
    }
  }
}

}  // namespace
}  // namespace mfi
