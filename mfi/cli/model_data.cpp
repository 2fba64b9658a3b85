#include "mfi/cli/model_data.h"

#include <algorithm>
#include <optional>

#include "mfi/cli/commands.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {

const std::vector<std::string>& dataset_names() {
  static const std::vector<std::string> names{"cifar-10", "cifar-100", "sample", "pictures"};
  return names;
}

DataSplits open_model_data(const Model& model, const std::string& dataset, const std::string& folder,
                           ModelDataFor purpose, int64_t limit) {
  const auto& info = model.info;
  const auto& arch = model.network->arch();
  const auto& known = dataset_names();
  DataSettings settings;
  settings.dataset = dataset.empty() ? info.dataset : dataset;
  if (std::find(known.begin(), known.end(), settings.dataset) == known.end())
    throw UsageError("the model was trained on " + (info.dataset.empty() ? "nothing that it names" : info.dataset) +
                     "; say with --dataset what it is to be used on: " + join(known, ", "));
  settings.limit = limit;
  settings.image_size = arch.image_size;
  settings.resize = info.resize;
  settings.crop = info.crop;
  settings.normalisation = info.normalisation;
  settings.cache = "none";  // each is looked at once
  settings.seed = info.seed;
  settings.test = info.test;
  settings.to_train_on = purpose == ModelDataFor::calibration;
  if (purpose == ModelDataFor::judging && info.dataset != "pictures") settings.test = 1;
  auto data = open_data(settings, data_folder(folder, settings.dataset));
  if (purpose == ModelDataFor::judging && data.test.size() == 0)
    throw DataError(data.source + ": no pictures to test on; expected test/CLASS or val/CLASS, or CLASS");
  if (data.test.width() != arch.image_size)
    throw DataError(
        format("the model takes images of %lld pixels along a side, those of %s have %lld; as a folder of "
               "pictures (--dataset pictures) they would be resized",
               static_cast<long long>(arch.image_size), data.name.c_str(), static_cast<long long>(data.test.width())));
  const auto& names = data.test.class_names;
  if (names.size() == static_cast<size_t>(arch.classes) && !info.may_have_classes(names))
    throw DataError("the model's classes are " + shortened(join(info.class_names, ", ")) + ", those in " + data.source +
                    " are " + shortened(join(names, ", ")) + "; they must be the same");
  return data;
}

namespace {

std::optional<ModelDescription> described(const std::filesystem::path& file) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(file, none)) return std::nullopt;
  try {
    return describe_model(file);
  } catch (const Error&) {  // it is something else
    return std::nullopt;
  }
}

}  // namespace

void require_no_model(const std::string& flag, const std::string& file) {
  if (described(file))
    throw UsageError(flag + " " + file + " is a model of mfi, which is not replaced; give another name");
}

bool is_trainable_model(const std::filesystem::path& file) {
  const auto found = described(file);
  return found && !found->arch.folded;
}

}  // namespace mfi
