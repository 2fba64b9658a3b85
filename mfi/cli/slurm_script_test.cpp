#include "mfi/cli/slurm_script.h"

#include <gmock/gmock.h>

#include <regex>

namespace mfi {
namespace {

// Mebibytes that the teacher's job asks for.
int memory_of(const Recipe& recipe, const DataShape& data) {
  Plan plan;
  plan.data = data;
  plan.steps.resize(1);
  plan.steps[0].name = "teacher";
  const auto script = slurm_script(recipe, plan, {{"teacher", {.seconds = 60, .memory_bytes = 1e9}}}, {});
  std::smatch found;
  return std::regex_search(script, found, std::regex("submit teacher .* --mem=([0-9]+)M")) ? std::stoi(found[1]) : -1;
}

TEST(SlurmScript, AsksForTheMemoryThatPicturesTake) {
  Recipe recipe;
  DataShape data{.classes = 10, .image_size = 32, .training_images = 50'000};
  const int cifar = memory_of(recipe, data);
  EXPECT_GE(cifar, 1.25e9 / (1 << 20) + 60'000 * 3 * 32 * 32 / (1 << 20));
  EXPECT_LT(cifar, 2560);
  recipe.data.dataset = "pictures";
  data = {.classes = 10, .image_size = 224, .training_images = 10'000};
  EXPECT_GE(memory_of(recipe, data), 2.2 * 1024) << "docs/pictures.md has the size of so many";
  recipe.data.cache = "disk";
  EXPECT_LT(memory_of(recipe, data), cifar);
}

}  // namespace
}  // namespace mfi
