#include "mfi/data/splits.h"

#include <gtest/gtest.h>

namespace mfi {
namespace {

/// Images whose every byte is the index; the labels as given.
Dataset labelled(const std::vector<int64_t>& labels, size_t classes) {
  Dataset data;
  const auto count = static_cast<int64_t>(labels.size());
  data.labels = torch::tensor(labels, torch::kInt64);
  data.images = torch::arange(count).to(torch::kUInt8).view({count, 1, 1, 1}).expand({count, 3, 2, 2}).contiguous();
  data.class_names = std::vector<std::string>(classes, "c");
  return data;
}

/// 10 samples of class 0, 20 of class 1, 30 of class 2, mixed.
Dataset uneven() {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 60; ++i) labels.push_back(i % 6 < 1 ? 0 : i % 6 < 3 ? 1 : 2);
  return labelled(labels, 3);
}

std::vector<int64_t> counts(const Dataset& data, const torch::Tensor& indices) {
  const auto labels = data.labels.index_select(0, indices);
  std::vector<int64_t> result;
  for (int64_t c = 0; c < static_cast<int64_t>(data.class_names.size()); ++c)
    result.push_back((labels == c).sum().item<int64_t>());
  return result;
}

TEST(HoldOut, TakesTheShareOfEveryClass) {
  const HeldOut parts = hold_out(uneven(), 0.2, 1);
  EXPECT_EQ(counts(uneven(), parts.validation), (std::vector<int64_t>{2, 4, 6}));
  EXPECT_EQ(counts(uneven(), parts.train), (std::vector<int64_t>{8, 16, 24}));
}

TEST(HoldOut, PutsEverySampleInExactlyOnePart) {
  const HeldOut parts = hold_out(uneven(), 0.3, 1);
  const auto all = std::get<0>(torch::cat({parts.train, parts.validation}).sort());
  EXPECT_TRUE(torch::equal(all, torch::arange(60)));
}

TEST(HoldOut, DependsOnTheSeedOnly) {
  EXPECT_TRUE(torch::equal(hold_out(uneven(), 0.2, 1).validation, hold_out(uneven(), 0.2, 1).validation));
  EXPECT_FALSE(torch::equal(hold_out(uneven(), 0.2, 1).validation, hold_out(uneven(), 0.2, 2).validation));
}

// A stored split: bench/peers draws it again in Python (peers_test.py has the same numbers).
TEST(HoldOut, StaysTheSameInEveryVersion) {
  const auto held = hold_out(uneven(), 0.2, 7).validation;
  EXPECT_TRUE(torch::equal(held, torch::tensor({2, 12, 14, 20, 21, 24, 27, 34, 44, 47, 52, 57}, torch::kInt64)))
      << held;
}

// 0.1 of 10 samples of 10 classes: no class has a whole sample to give, together they have one.
TEST(HoldOut, RoundsTheWholeAndNotEveryClass) {
  const Dataset data = labelled({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10);
  EXPECT_EQ(hold_out(data, 0.1, 0).validation.size(0), 1);
}

TEST(FirstOfEachClass, TakesClassesEvenly) {
  const Dataset data = uneven();
  EXPECT_EQ(counts(data, first_of_each_class(data, 12)), (std::vector<int64_t>{4, 4, 4}));
  EXPECT_EQ(counts(data, first_of_each_class(data, 13)), (std::vector<int64_t>{5, 4, 4}));
  // When one class is used up, the others fill in.
  EXPECT_EQ(counts(data, first_of_each_class(data, 40)), (std::vector<int64_t>{10, 15, 15}));
  EXPECT_EQ(first_of_each_class(data, 1000).size(0), 60);
}

TEST(FirstOfEachClass, KeepsTheOrderOfTheFile) {
  EXPECT_TRUE(torch::equal(first_of_each_class(labelled({0, 0, 0, 1, 1, 1}, 2), 4), torch::tensor({0, 1, 3, 4})));
}

TEST(Pick, KeepsImagesWithTheirLabels) {
  const Dataset picked = pick(uneven(), torch::tensor({7, 3}));
  EXPECT_EQ(picked.images[0][0][0][0].item<int>(), 7);
  EXPECT_EQ(picked.labels[1].item<int64_t>(), uneven().labels[3].item<int64_t>());
  EXPECT_TRUE(picked.images.is_contiguous());
}

TEST(Fingerprint, ChangesWithAnyPixelOrLabel) {
  const Dataset train = uneven(), test = labelled({0, 1}, 2);
  const std::string original = fingerprint(train, test);
  EXPECT_EQ(original.size(), 64u);
  EXPECT_EQ(fingerprint(uneven(), labelled({0, 1}, 2)), original);
  EXPECT_NE(fingerprint(train, labelled({0, 0}, 2)), original);
  train.images[59][2][1][1] += 1;
  EXPECT_NE(fingerprint(train, test), original);
}

TEST(FewLabels, KeepsTheShareOfEveryClass) {
  const auto data = uneven();
  const auto parts = few_labels(data, 0.2, 1);
  EXPECT_EQ(counts(data, parts.labelled), (std::vector<int64_t>{2, 4, 6}));
  EXPECT_EQ(parts.labels.size(0), 60);
  EXPECT_EQ((parts.labels == kNoLabel).sum().item<int64_t>(), 48);
  EXPECT_TRUE(torch::equal(parts.labels.index_select(0, parts.labelled), data.labels.index_select(0, parts.labelled)));
  EXPECT_EQ(few_labels(data, 1e-9, 1).labelled.size(0), 1) << "one at least";
  EXPECT_FALSE(torch::equal(parts.labelled, hold_out(data, 0.2, 1).validation)) << "not the images that are held out";
}

// As HoldOut.StaysTheSameInEveryVersion: bench/peers forgets the same labels.
TEST(FewLabels, StaysTheSameInEveryVersion) {
  const auto kept = few_labels(uneven(), 0.2, 7).labelled;
  EXPECT_TRUE(torch::equal(kept, torch::tensor({12, 25, 27, 31, 33, 40, 41, 46, 50, 53, 54, 56}, torch::kInt64)))
      << kept;
  EXPECT_TRUE(torch::equal(few_labels(uneven(), 1e-9, 7).labelled, torch::tensor({41}, torch::kInt64)));
}

TEST(Joined, HasTheImagesOfBoth) {
  const auto both = joined(labelled({0, 1}, 2), labelled({kNoLabel, kNoLabel, kNoLabel}, 0));
  EXPECT_EQ(both.size(), 5);
  EXPECT_EQ(both.class_names.size(), 2u);
  EXPECT_TRUE(torch::equal(both.labels, torch::tensor({0, 1, -100, -100, -100}, torch::kInt64)));
  EXPECT_EQ(both.images[4][0][0][0].item<int>(), 2);
}

}  // namespace
}  // namespace mfi
