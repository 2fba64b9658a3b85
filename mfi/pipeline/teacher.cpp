#include "mfi/pipeline/teacher.h"

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

// Above this many pixels along a side the first stage of a CIFAR network would see the image in full: 50 times the
// work at 224. The network for ImageNet begins with an eighth of the pixels.
constexpr int64_t kLargestForCifarStem = 64;

Arch named_arch(const NetworkSettings& network, int64_t classes, int64_t image_size) {
  auto arch = resnet_arch(network.arch, network.width, classes);
  if (network.stem == "imagenet" || (network.stem == "auto" && image_size > kLargestForCifarStem))
    arch.stem = StemKind::imagenet;
  if (network.shortcut == "padded")
    for (auto& stage : arch.stages) std::get<BlocksArch>(stage.body).shortcut = ShortcutKind::padded;
  return arch;
}

Arch given_arch(const std::string& file) {
  const auto arch = describe_model(file).arch;
  const auto refuse = [&](const std::string& what) {
    throw RecipeError("network.model: " + file + " " + what + "; expected a network of residual blocks alone");
  };
  if (arch.folded) refuse("is folded for inference");
  for (const auto& stage : arch.stages)
    if (stage.is_flow()) refuse("has a flow stage: it has been made smaller already");
  return arch;
}

}  // namespace

Arch teacher_arch(const Recipe& recipe) {
  const DataShape usual;
  const auto& file = recipe.network.model;
  return file.empty() ? named_arch(recipe.network, usual.classes, usual.image_size) : given_arch(file);
}

Arch teacher_arch(const Recipe& recipe, const DataShape& data) {
  const auto& file = recipe.network.model;
  auto arch = file.empty() ? named_arch(recipe.network, data.classes, data.image_size) : given_arch(file);
  if (arch.classes != data.classes && !recipe.network.fine_tune)
    throw RecipeError(
        format("network.model: %s has %lld classes, the dataset %s has %lld; network.fine_tune = true "
               "gives it a new last layer and trains it first",
               file.c_str(), static_cast<long long>(arch.classes), recipe.data.dataset.c_str(),
               static_cast<long long>(data.classes)));
  arch.classes = data.classes;
  arch.image_size = data.image_size;
  return arch;
}

}  // namespace mfi
