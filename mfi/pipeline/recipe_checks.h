// What no key of a recipe can say by itself: keys that depend on each other, or on the teacher.
#pragma once

#include <optional>
#include <string>

#include "mfi/pipeline/recipe.h"

namespace mfi {

struct RecipeProblem {
  std::string path;  // the key to blame
  std::string text;  // "teacher.epochs is 0, expected 1 to 100000"
};

/// The first thing that is wrong with a recipe, ranges before what depends on several keys; nothing where all is well.
std::optional<RecipeProblem> first_problem(const Recipe& recipe);

}  // namespace mfi
