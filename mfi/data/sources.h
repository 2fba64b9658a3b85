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

/// Pictures of any size in folders or an archive (picture_list.h).
///
/// settings.image_size 0: that of the pictures where all are the same square of at most 64 pixels, else 224.
/// settings.cache "memory" or "disk": all are decoded at once, on all cores, and kept: those of the test and of the
/// validation as evaluation sees them; those to train on too, or, where random parts are drawn of them, whole with
/// their shorter side at most 8/7 of the image size (256 for 224). "none": decoded each time. On disk they lie in
/// $XDG_CACHE_HOME/mfi/pictures, under a name that changes with files and settings.
/// The fingerprint is made of the files' identity (FileTree), names, labels and settings, whatever the cache. The
/// normalisation, where it is not given, is measured on up to 5,000 training pictures.
/// Throws NotFoundError, or DataError naming up to five files that are broken and how many there are, or saying how
/// much memory would be needed.
DataSplits open_pictures(const std::filesystem::path& place, const DataSettings& settings,
                         const DataProgress& progress);

/// The same without decoding them.
DataShape pictures_shape(const std::filesystem::path& place, const DataSettings& settings);

/// All pictures of a folder or archive, however they lie in it, as the `train` of splits that have nothing else: labels
/// kNoLabel, no class names. settings as above, with an image size and a normalisation. Throws DataError where there is
/// no picture, or as above. beside: what they are to be joined with, of which there must be room in memory too.
DataSplits open_unlabelled_pictures(const std::filesystem::path& place, DataSettings settings, const Dataset& beside,
                                    const DataProgress& progress);

/// Their labels and fingerprint alone; no picture is decoded.
DataSplits identify_unlabelled_pictures(const std::filesystem::path& place, DataSettings settings);

/// How many there are. Errors alike.
int64_t count_unlabelled_pictures(const std::filesystem::path& place);

/// The sample: train.png and test.png, sheets of 32x32 tiles row by row, classes one after another
/// with equally many tiles; classes.txt, one name a line. An empty folder: see find_sample.
LabelledSets read_sample(const std::filesystem::path& folder);

/// The folder of the sample: the first that holds it of $MFI_SAMPLE (alone, when it is set), the source
/// tree, and share/mfi/sample of the installation that the program belongs to. Throws NotFoundError.
std::filesystem::path find_sample();

}  // namespace mfi
