#include "mfi/search/search_recipes.h"

#include <cmath>
#include <regex>

#include "mfi/core/atomic_file.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/search/candidates.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

// "params28-macs46": a run of it is called by what it is, while another search gives the same number to another
// network.
std::string size_name(const Arch& teacher, const Arch& arch) {
  const auto whole = total_cost(teacher), cost = total_cost(arch);
  const auto percent = [](int64_t part, int64_t of) {
    return std::llround(100.0 * static_cast<double>(part) / static_cast<double>(of));
  };
  return format("params%lld-macs%lld", percent(cost.parameters, whole.parameters), percent(cost.macs, whole.macs));
}

// They speak of other recipes than those that are about to be written.
void remove_earlier_ones(const fs::path& folder) {
  for (const char* file : {"front.json", "front.csv", "chosen.toml"}) fs::remove(folder / file);
  static const std::regex ours("point-[0-9]+\\.toml");  // and none that somebody has put beside them
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder))
    if (std::regex_match(entry.path().filename().string(), ours)) old.push_back(entry.path());
  for (const auto& file : old) fs::remove(file);
}

}  // namespace

std::string told_apart(const std::string& name, std::map<std::string, int>& called) {
  const int number = ++called[name];
  return number == 1 ? name : name + "-" + std::to_string(number);
}

void write_search_recipes(const fs::path& folder, const Recipe& recipe, const Arch& teacher,
                          const std::vector<std::pair<std::string, Arch>>& networks, const SearchPoint* chosen) {
  remove_earlier_ones(folder);
  constexpr size_t kLongestName = 70;  // a recipe's may have 100 letters
  std::map<std::string, int> called;
  for (const auto& [point, arch] : networks) {
    auto made = recipe_of(recipe, teacher, arch);
    made.name = told_apart(recipe.name.substr(0, kLongestName) + "-" + size_name(teacher, arch), called);
    made.network.model = "../teacher/model.safetensors";
    made.network.fine_tune = false;
    replace_file(folder / (point + ".toml"), recipe_to_toml(made));
  }
  if (chosen) replace_file(folder / "chosen.toml", read_file(folder / (chosen->name + ".toml")));
}

}  // namespace mfi
