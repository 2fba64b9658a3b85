// Recipes: what is read is written and read again.
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "mfi/pipeline/recipe.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  for (const auto* key : {"model", "extends"})  // they might name any file of this machine
    if (bytes.find(key) != std::string_view::npos) return;
  const auto text = recipe_to_toml(read_recipe(memory_file(bytes)));
  require(recipe_to_toml(read_recipe(memory_file(text))) == text, "a recipe is written as it was read");
}

}  // namespace mfi::fuzz
