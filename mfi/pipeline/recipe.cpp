#include "mfi/pipeline/recipe.h"

#include "mfi/core/error.h"
#include "mfi/pipeline/recipe_checks.h"
#include "mfi/pipeline/recipe_table.h"

namespace mfi {

void Recipe::validate() const {
  if (const auto problem = first_problem(*this)) throw RecipeError(problem->text);
}

std::vector<std::string> recipe_differences(const Recipe& before, const Recipe& after) {
  std::vector<std::string> out;
  for (const auto& entry : recipe_entries()) {
    const auto section = entry.section();
    if (entry.key.path == "name" || section == "checkpoint" ||
        (section == "runtime" && entry.name() != "precision" && entry.name() != "sync_batch_norm"))
      continue;
    const auto text = [&](const Recipe& recipe) {
      return entry.is_given(recipe) ? recipe_value_text(entry.get(recipe)) : entry.key.default_text;
    };
    if (text(before) != text(after)) out.push_back(entry.key.path + " " + text(before) + " -> " + text(after));
  }
  return out;
}

std::string recipe_to_toml(const Recipe& recipe) {
  std::string text, section;
  for (const auto& entry : recipe_entries()) {
    if (entry.section() != section) {
      section = entry.section();
      text += "\n[" + section + "]\n";
    }
    text += entry.is_given(recipe) ? entry.name() + " = " + recipe_value_text(entry.get(recipe)) + "\n"
                                   : "# " + entry.name() + ": not given, so " + entry.key.default_text + "\n";
  }
  return text;
}

}  // namespace mfi
