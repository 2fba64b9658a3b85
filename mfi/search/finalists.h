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

}  // namespace mfi
