// The table of recipe keys: reading, writing, checking and the reference all run from it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "mfi/pipeline/recipe.h"

namespace mfi {

/// What a key can hold. The order of the alternatives is that of kTypeNames in recipe_table.cpp.
using RecipeValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<std::string>>;

struct RecipeEntry {
  RecipeKey key;
  RecipeValue default_value;
  std::function<RecipeValue(const Recipe&)> get;
  std::function<void(Recipe&, const RecipeValue&)> set;  // the value has default_value's type
  std::function<bool(const RecipeValue&)> in_range;
  std::function<bool(const Recipe&)> is_given;  // false: left to its default in words
  std::vector<std::string> choices;             // of a text, or of the texts in a list; empty: free
  bool is_per_stage = false;                    // a list with one entry for all stages, or one for each
  bool takes_one_value = false;                 // a list that one value without brackets may stand for

  std::string section() const;  // "" at the top
  std::string name() const;     // the path's last part
};

/// Every entry, in the order of recipe_keys().
const std::vector<RecipeEntry>& recipe_entries();

/// A value as it stands in TOML.
std::string recipe_value_text(const RecipeValue& value);

/// "teacher.epochs is 0, expected at least 1" when `value` is out of the entry's range, else "". `given`: the value as
/// it was written; "": as TOML has it.
std::string range_problem(const RecipeEntry& entry, const RecipeValue& value, const std::string& given = "");

}  // namespace mfi
