#include "mfi/pipeline/teacher.h"

#include "mfi/core/error.h"
#include "mfi/train/checkpoint.h"

namespace mfi {

Arch teacher_arch(const Recipe& recipe, int64_t classes) {
  if (recipe.network.model.empty()) {
    auto arch = resnet_arch(recipe.network.arch, recipe.network.width, classes);
    if (recipe.network.shortcut == "padded")
      for (auto& stage : arch.stages) std::get<BlocksArch>(stage.body).shortcut = ShortcutKind::padded;
    return arch;
  }
  const auto arch = describe_model(recipe.network.model).arch;
  const auto refuse = [&](const std::string& what) {
    throw RecipeError("network.model: " + recipe.network.model + " " + what +
                      "; expected a network of residual blocks alone");
  };
  if (arch.folded) refuse("is folded for inference");
  for (const auto& stage : arch.stages)
    if (stage.is_flow()) refuse("has a flow stage: it has been made smaller already");
  return arch;
}

}  // namespace mfi
