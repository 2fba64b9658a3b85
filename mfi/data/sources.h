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
};

/// `place` is the folder that holds the record files, one that holds this folder or the archive, or
/// the archive. Errors as in open_data.
LabelledSets read_cifar(const CifarLayout& layout, const std::filesystem::path& place);

/// The sample: train.png and test.png, sheets of 32x32 tiles row by row, classes one after another
/// with equally many tiles; classes.txt, one name a line. An empty folder: see find_sample.
LabelledSets read_sample(const std::filesystem::path& folder);

/// The folder of the sample: the first that holds it of $MFI_SAMPLE (alone, when it is set), the source
/// tree, and share/mfi/sample of the installation that the program belongs to. Throws NotFoundError.
std::filesystem::path find_sample();

}  // namespace mfi
