// The recipes that a search leaves behind.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mfi/pipeline/recipe.h"
#include "mfi/search/search_results.h"

namespace mfi {

/// Writes NAME.toml into `folder` for each of the networks, which have their points' names, and that of `chosen`, if
/// any, once more as chosen.toml. Each makes that network from ../teacher/model.safetensors and else is like `recipe`;
/// it is named by its shares of the teacher's costs. What an earlier search has written there is removed: front.json,
/// front.csv, chosen.toml and all point-N.toml.
void write_search_recipes(const std::filesystem::path& folder, const Recipe& recipe, const Arch& teacher,
                          const std::vector<std::pair<std::string, Arch>>& networks, const SearchPoint* chosen);

/// The name, with "-2", "-3", ... behind it where it was asked for before. `called` counts, from an empty map on.
std::string told_apart(const std::string& name, std::map<std::string, int>& called);

}  // namespace mfi
