// The network that a recipe begins with.
#pragma once

#include "mfi/nn/arch.h"
#include "mfi/pipeline/recipe.h"

namespace mfi {

/// The teacher that the recipe names, or the one in its model file (whose header is read). Throws RecipeError for a
/// file whose network is no teacher, and what describe_model throws.
Arch teacher_arch(const Recipe& recipe, int64_t classes = 10);

}  // namespace mfi
