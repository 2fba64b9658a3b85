// Which pictures a folder holds, and of which class each is.
#pragma once

#include <string>
#include <vector>

#include "mfi/formats/file_tree.h"

namespace mfi {

struct LabelledPicture {
  size_t file = 0;  // in the tree's names()
  int64_t label = 0;
};

struct PictureList {
  std::vector<std::string> class_names;  // sorted, as torchvision's ImageFolder has them; numbers by their value
  std::vector<LabelledPicture> train, validation, test;
  std::vector<std::string> passed_over;  // files that are neither pictures nor of use, by name
};

/// The pictures of a tree. Layouts:
///
/// - train/CLASS/..., and val/CLASS/... or test/CLASS/... or both (also training, valid, validation). Where only one of
///   the two is there, it is what the run is judged on;
/// - CLASS/...: `test_share` of each class is held out for the test, drawn by seed; 1: all of it;
/// - metadata.csv, there or in train, val and test: columns file_name and label, as Hugging Face's imagefolder.
///
/// One folder around all of it is no matter. Pictures are known by their endings (.jpg, .jpeg, .png, .webp).
/// Throws DataError where there are none, where the CSV is not right, or, where the list is to train on, where a class
/// has none to do so or there are none for the test.
PictureList list_pictures(const FileTree& tree, const std::string& place, double test_share, uint64_t seed,
                          bool to_train_on = true);

/// All pictures of a tree as `train`, wherever they lie and whatever tables are beside them, with kNoLabel. Throws
/// DataError where there are none.
PictureList list_unlabelled(const FileTree& tree, const std::string& place);

}  // namespace mfi
