// What a run's numbers say, in words.
#pragma once

#include <string>

#include "mfi/pipeline/results.h"

namespace mfi {

/// A few sentences: what the hybrid saved, what it cost, and whether a control did as well.
///
/// Differences are in points of test accuracy. One that two independent samples of the test set's
/// size could show by chance (95 %) is called so. "" when there is no hybrid or no teacher.
std::string verdict(const RunResults& results);

/// One sentence: what was asked, and what came out. Of a run without its hybrid, how far it is.
std::string summary(const RunResults& results);

/// Half-width in points of the 95 % interval for the difference of two accuracies, each measured on
/// `images` images. Two networks judged on the same images differ by less, seeds by more.
double chance_points(double one_percent, double other_percent, int64_t images);

/// The same for one accuracy by itself; 0 without images.
double chance_of_one(double percent, int64_t images);

}  // namespace mfi
