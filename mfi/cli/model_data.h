// The dataset that a model is tried on.
#pragma once

#include <filesystem>
#include <string>

#include "mfi/data/dataset.h"
#include "mfi/train/checkpoint.h"

namespace mfi {

/// What --dataset may be.
const std::vector<std::string>& dataset_names();

enum class ModelDataFor {
  judging,      // the test images; all pictures of a folder without parts that the model was not trained on
  calibration,  // the training images
};

/// Opens the dataset `dataset` ("": the one that the model was trained on) in `folder` (as data_folder takes it).
/// Pictures are brought to the model's size in its way, each when it is used. limit: as in DataSettings. Errors as
/// open_data; UsageError where it is not known which dataset is meant, DataError for images of another size or classes
/// of other names than the model's.
DataSplits open_model_data(const Model& model, const std::string& dataset, const std::string& folder,
                           ModelDataFor purpose = ModelDataFor::judging, int64_t limit = 0);

/// Throws UsageError, naming the flag, where the file to be written ("": none) holds a model of mfi's.
void require_no_model(const std::string& flag, const std::string& file);

/// Whether a file holds a model that can be trained on, which is not lost for one that cannot.
bool is_trainable_model(const std::filesystem::path& file);

}  // namespace mfi
