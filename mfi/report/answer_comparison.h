// Two networks' answers to the same images, held against each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mfi/train/answers.h"

namespace mfi {

/// How often each true class (row) is taken for each class (column). Answers outside [0, classes) are not counted.
std::vector<std::vector<int64_t>> confusion_counts(const Answers& answers, int64_t classes);

/// A class that is taken for another.
struct Confusion {
  int64_t label = 0, answer = 0, count = 0;
};

/// The most frequent ones, at most `most`; equally frequent ones in the order of the classes.
std::vector<Confusion> frequent_confusions(const std::vector<std::vector<int64_t>>& counts, size_t most);

/// One class, as teacher and hybrid know it.
struct ClassChange {
  int64_t label = 0, images = 0, teacher_right = 0, hybrid_right = 0;
};

/// Classes that have images, those first that lost most, by share.
std::vector<ClassChange> class_changes(const Answers& teacher, const Answers& hybrid, int64_t classes);

/// Of all images: which of the two is right.
struct Agreement {
  int64_t both = 0, only_teacher = 0, only_hybrid = 0, neither = 0;
  int64_t different = 0;  // images to which they answer differently, whether right or not
};

Agreement agreement(const Answers& teacher, const Answers& hybrid);

/// Up to `most` images to which the two answer differently, by index: as many of those that only the teacher knows as
/// of those that only the hybrid knows, and half as many of those that neither does; where there are too few of one
/// kind, more of the others. Of each kind those of which both are surest (by the product of their probabilities), which
/// tell more than guesses do. In the order of these kinds.
std::vector<int64_t> telling_images(const Answers& teacher, const Answers& hybrid, size_t most);

}  // namespace mfi
