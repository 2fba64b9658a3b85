// The images of a search, all of them training images.
#pragma once

#include <filesystem>

#include "mfi/data/dataset.h"
#include "mfi/pipeline/runner.h"

namespace mfi {

struct SearchData {
  DataSplits splits;  // of its images those of validation alone: the others are below
  Dataset train;      // that candidates are mapped on
  Dataset tuned;      // the share of them that combinations are fine-tuned on
  Dataset held_out;   // that judge: those of data.validation or of a folder `val`, else search.held_out of the others
  Dataset scored;     // those of them that candidates and pairs are scored on
};

/// Whether the images that judge are none of those that the teacher is trained on.
bool holds_out_before_the_teacher(const DataShape& data);

/// Throws RecipeError where search.held_out or search.share would leave no image.
void require_images(const Recipe& recipe, const DataShape& data);

/// Reads the data and divides it, by the recipe's seed. Throws what open_data does.
SearchData search_data(const Recipe& recipe, const std::filesystem::path& folder, RunObserver& observer);

}  // namespace mfi
