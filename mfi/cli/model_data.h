// The dataset that a model is tried on.
#pragma once

#include <string>

#include "mfi/data/dataset.h"
#include "mfi/train/checkpoint.h"

namespace mfi {

/// Opens the dataset `dataset` ("": the one that the model was trained on) in `folder` (as data_folder takes it),
/// pictures brought to the model's size in its way. limit: as in DataSettings.
DataSplits open_model_data(const Model& model, const std::string& dataset, const std::string& folder,
                           int64_t limit = 0);

}  // namespace mfi
