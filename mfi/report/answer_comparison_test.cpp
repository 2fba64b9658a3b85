#include "mfi/report/answer_comparison.h"

#include <gmock/gmock.h>

namespace mfi {
namespace {

using testing::ElementsAre;

Answers answers(std::vector<int64_t> classes, std::vector<int64_t> labels, std::vector<float> probabilities = {}) {
  if (probabilities.empty()) probabilities.assign(labels.size(), 0.5F);
  return {std::move(classes), std::move(probabilities), std::move(labels)};
}

TEST(ConfusionCounts, HaveARowForEachTrueClass) {
  const auto counts = confusion_counts(answers({0, 1, 1, 2}, {0, 0, 1, 1}), 3);
  EXPECT_THAT(counts, ElementsAre(ElementsAre(1, 1, 0), ElementsAre(0, 1, 1), ElementsAre(0, 0, 0)));
}

TEST(ConfusionCounts, LeaveOutClassesThatThereAreNot) {
  EXPECT_THAT(confusion_counts(answers({7, -1, 1}, {0, 0, 1}), 2), ElementsAre(ElementsAre(0, 0), ElementsAre(0, 1)));
  EXPECT_TRUE(confusion_counts(answers({}, {}), 0).empty());
}

TEST(FrequentConfusions, ComeMostFrequentFirstAndWithoutRightAnswers) {
  const auto found = frequent_confusions({{90, 2, 5}, {0, 99, 1}, {5, 0, 3}}, 3);
  ASSERT_EQ(found.size(), 3);
  EXPECT_EQ(std::tuple(found[0].label, found[0].answer, found[0].count), std::tuple(0, 2, 5));
  EXPECT_EQ(std::tuple(found[1].label, found[1].answer, found[1].count), std::tuple(2, 0, 5));
  EXPECT_EQ(found[2].count, 2);
}

TEST(ClassChanges, ComeWithTheGreatestLossFirst) {
  const std::vector<int64_t> labels{0, 0, 1, 1, 1, 1, 3};
  const auto changes = class_changes(answers({0, 0, 1, 1, 1, 1, 0}, labels), answers({0, 1, 1, 1, 1, 0, 3}, labels), 4);
  std::vector<int64_t> order;
  for (const auto& change : changes) order.push_back(change.label);
  EXPECT_THAT(order, ElementsAre(0, 1, 3));  // lost a half, a quarter, won; of class 2 there is no image
  EXPECT_EQ(changes[0].teacher_right, 2);
  EXPECT_EQ(changes[0].hybrid_right, 1);
}

TEST(Agreement, CountsWhoIsRight) {
  const std::vector<int64_t> labels{0, 0, 0, 0, 0};
  const auto counts = agreement(answers({0, 0, 1, 1, 1}, labels), answers({0, 1, 0, 1, 2}, labels));
  EXPECT_EQ(counts.both, 1);
  EXPECT_EQ(counts.only_teacher, 1);
  EXPECT_EQ(counts.only_hybrid, 1);
  EXPECT_EQ(counts.neither, 2);
  EXPECT_EQ(counts.different, 3);
}

TEST(TellingImages, AreOfEachKindTheSurest) {
  //                                 only teacher   only hybrid   neither  same
  const std::vector<int64_t> labels{0, 0, 0, 0, 0, 0, 0, 0};
  const auto teacher = answers({0, 0, 0, 1, 1, 1, 1, 1}, labels, {0.5, 0.9, 0.7, 0.5, 0.6, 0.9, 0.8, 1});
  const auto hybrid = answers({1, 1, 1, 0, 0, 2, 2, 1}, labels, {0.5, 0.9, 0.7, 0.5, 0.6, 0.9, 0.8, 1});
  EXPECT_THAT(telling_images(teacher, hybrid, 5), ElementsAre(1, 2, 4, 3, 5));
  EXPECT_THAT(telling_images(teacher, hybrid, 100), ElementsAre(1, 2, 0, 4, 3, 5, 6));
}

TEST(TellingImages, AreMoreOfOneKindWhereThereAreTooFewOfAnother) {
  const std::vector<int64_t> labels(30, 0);
  const auto teacher = answers(std::vector<int64_t>(30, 0), labels),
             hybrid = answers(std::vector<int64_t>(30, 1), labels);
  EXPECT_EQ(telling_images(teacher, hybrid, 24).size(), 24);
  EXPECT_TRUE(telling_images(teacher, teacher, 24).empty());
}

}  // namespace
}  // namespace mfi
