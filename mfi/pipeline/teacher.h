// The network that a recipe begins with.
#pragma once

#include "mfi/nn/arch.h"
#include "mfi/pipeline/recipe.h"

namespace mfi {

/// The teacher that the recipe names, or the one in its model file (whose header is read). Throws RecipeError for a
/// file whose network is no teacher, and what describe_model throws. Before the data are known: a named one's classes
/// and image size are CIFAR-10's.
Arch teacher_arch(const Recipe& recipe);

/// The same for a dataset: for its size of image and its classes. Throws RecipeError too for a model file with other
/// classes, unless it is to be fine-tuned.
Arch teacher_arch(const Recipe& recipe, const DataShape& data);

}  // namespace mfi
