#include "mfi/cli/model_data.h"

#include "mfi/cli/commands.h"

namespace mfi {

DataSplits open_model_data(const Model& model, const std::string& dataset, const std::string& folder, int64_t limit) {
  DataSettings settings;
  settings.dataset = dataset.empty() ? model.info.dataset : dataset;
  settings.limit = limit;
  settings.image_size = model.network->arch().image_size;
  settings.resize = model.info.resize;
  settings.crop = model.info.crop;
  return open_data(settings, data_folder(folder, settings.dataset));
}

}  // namespace mfi
