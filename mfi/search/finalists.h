// Which combinations are worth a fine-tuning.
#pragma once

#include <vector>

#include "mfi/search/choice.h"

namespace mfi {

/// At most `count` of the choices of least damage for what they cost, by rising cost.
///
/// Those within the budgets come first: the best of them and, as the expected damage is no more than a guess, those
/// next to it, up to half of `count`; then whichever is farthest, in the logarithm of the first cost, from all taken so
/// far, the cheapest among them. Without budgets the spread alone decides. Empty where no choice is within the budgets.
std::vector<Choice> finalists(const ChoiceTable& table, size_t count);

/// The same, the first half of them from choices of `some` candidates alone ([stage][candidate], true for the teacher's
/// own), where these are not all: for damage that is no fair measure between these and the others.
std::vector<Choice> finalists_of_both(const ChoiceTable& table, const std::vector<std::vector<bool>>& some,
                                      size_t count);

}  // namespace mfi
