// Whole datasets as their files hold them, before anything is held out.
#pragma once

#include <filesystem>
#include <string>

#include "mfi/data/dataset.h"
#include "mfi/formats/cifar_binary.h"

namespace mfi {

struct LabelledSets {
  std::string source;  // the folder or archive
  Dataset train, test;
  Dataset validation;  // where the source itself holds some out
};

/// `place` is the folder that holds the record files, one that holds this folder or the archive, or
/// the archive. Errors as in open_data.
LabelledSets read_cifar(const CifarLayout& layout, const std::filesystem::path& place);

/// Pictures of any size in folders or an archive (picture_list.h), decoded on all cores and brought to
/// settings.image_size pixels along a side: the shorter side resized, the middle cut out. They are then held in memory.
/// image_size 0: that of the pictures where all are the same square of at most 64 pixels, else 224.
/// Throws NotFoundError, or DataError naming up to five files that are broken and how many there are, or saying how
/// much memory would be needed.
LabelledSets read_pictures(const std::filesystem::path& place, const DataSettings& settings);

/// The same without decoding them.
DataShape pictures_shape(const std::filesystem::path& place, const DataSettings& settings);

/// The sample: train.png and test.png, sheets of 32x32 tiles row by row, classes one after another
/// with equally many tiles; classes.txt, one name a line. An empty folder: see find_sample.
LabelledSets read_sample(const std::filesystem::path& folder);

/// The folder of the sample: the first that holds it of $MFI_SAMPLE (alone, when it is set), the source
/// tree, and share/mfi/sample of the installation that the program belongs to. Throws NotFoundError.
std::filesystem::path find_sample();

}  // namespace mfi
