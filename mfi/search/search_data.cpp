#include "mfi/search/search_data.h"

#include <cmath>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/splits.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

constexpr uint64_t kHeldOut = 0x53656172, kTuned = 0x54756E65;  // uses of the seed

}  // namespace

bool holds_out_before_the_teacher(const DataShape& data) { return data.validation_images > 0; }

void require_images(const Recipe& recipe, const DataShape& data) {
  const auto of = [](double share, int64_t images) { return std::llround(share * static_cast<double>(images)); };
  auto images = static_cast<long long>(data.training_images);
  if (!holds_out_before_the_teacher(data)) {
    const auto held_out = of(recipe.search.held_out, images);
    if (held_out == 0)
      throw RecipeError(
          format("search.held_out is %g: of %lld training images it holds none out, expected a larger share",
                 recipe.search.held_out, images));
    images -= held_out;
  }
  if (of(recipe.search.share, images) == 0)
    throw RecipeError(
        format("search.share is %g: of %lld training images it leaves none to fine-tune on, expected a larger share",
               recipe.search.share, images));
}

SearchData search_data(const Recipe& recipe, const std::filesystem::path& folder, RunObserver& observer) {
  auto settings = recipe.data;
  settings.seed = recipe.seed;
  if (!recipe.network.model.empty()) settings.normalisation = describe_model(recipe.network.model).info.normalisation;
  SearchData data{open_data(settings, folder, reading_messages(observer)), {}, {}, {}, {}};
  data.train = data.splits.train;
  data.splits.train = data.splits.labelled = data.splits.all = data.splits.test = {};  // what follows are copies
  data.held_out = data.splits.validation;
  if (data.held_out.size() == 0) {
    const auto parts = hold_out(data.train, recipe.search.held_out, recipe.seed ^ kHeldOut);
    data.held_out = pick(data.train, parts.validation);
    data.train = pick(data.train, parts.train);
  }
  if (data.held_out.size() == 0) throw RecipeError("data.validation and search.held_out hold no image out");
  data.tuned = recipe.search.share == 1
                   ? data.train
                   : pick(data.train, hold_out(data.train, recipe.search.share, recipe.seed ^ kTuned).validation);
  data.scored = recipe.search.images >= data.held_out.size()
                    ? data.held_out
                    : pick(data.held_out, first_of_each_class(data.held_out, recipe.search.images));
  return data;
}

}  // namespace mfi
