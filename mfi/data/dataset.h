// Labelled images: bytes in memory, or pictures that are decoded when they are needed.
#pragma once

#include "mfi/core/torch.h"

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mfi/data/no_label.h"

namespace mfi {

class Pictures;

/// Labelled images.
struct Dataset {
  torch::Tensor images;                  // uint8 [N, 3, H, W], contiguous, RGB; or undefined, and there are pictures
  torch::Tensor labels;                  // int64 [N]; kNoLabel where there is none
  std::vector<std::string> class_names;  // one per class
  std::shared_ptr<const Pictures> pictures = nullptr;  // N of any size

  int64_t size() const { return labels.defined() ? labels.size(0) : 0; }
  int64_t height() const;
  int64_t width() const;
  /// The first `count` as evaluation sees them: uint8 [count, 3, H, W]. Pictures are decoded on all cores.
  torch::Tensor first_images(int64_t count) const;
};

/// Channel mean and standard deviation of pixels scaled to [0, 1].
struct Normalisation {
  std::array<float, 3> mean{0, 0, 0};
  std::array<float, 3> stddev{1, 1, 1};
};

/// What a run trains on, chooses by, and is judged on.
struct DataSplits {
  std::string name;         // "cifar-10", "cifar-100", "sample" or "pictures"
  std::string source;       // the folder or archive that it was read from
  std::string fingerprint;  // changes when any pixel or label changes
  Dataset train;
  Dataset validation;  // empty when nothing is held out
  Dataset test;
  Dataset labelled;  // of train, those whose labels are seen after the teacher's training (DataSettings::labelled)
  Dataset all;       // train, the labels of the others kNoLabel; and then the pictures of DataSettings::unlabelled
  int64_t unlabelled_pictures = 0;     // how many these are; they are not in `all` without unlabelled_to_learn
  std::string unlabelled_fingerprint;  // of these; "": there are none
  Normalisation normalisation;
  std::vector<std::string> passed_over;  // of pictures: files in their folder that are none
};

struct DataSettings {
  std::string dataset = "cifar-10";       // cifar-10, cifar-100, sample or pictures
  double validation = 0.0;                // share of the training images held out, [0, 0.5]
  double labelled = 1;                    // share of the training images in DataSplits::labelled, above 0 to 1
  bool unlabelled_to_learn = true;        // false: it is enough to know which those below are
  std::filesystem::path unlabelled = {};  // folder or archive of pictures without labels, to learn from too; "": none
  int64_t limit = 0;                      // use only this many training and test images; 0: all
  uint64_t seed = 0;                      // decides which images are held out
  // Of pictures:
  int64_t image_size = 0;          // pixels along a side; 0: see read_pictures
  std::string resize = "bicubic";  // or bilinear
  double crop = 1;                 // share of the shorter side that is kept, 0.01 to 1
  double test = 0.2;               // share held out for the test where the folder has no part for it; 1: all
  bool to_train_on = true;         // else there need be no pictures but those of the test
  std::string cache = "memory";    // where decoded pictures are kept: memory, disk, or none: decoded each time
  std::string augment = "auto";    // shift, resized-crop, or auto: by their size (see random_parts)
  double least_area = 0.08;        // of a resized crop, as a share of the picture, above 0 to 1
  // Of a model that has been trained with one; none: that of the training images.
  std::optional<Normalisation> normalisation = std::nullopt;
};

/// Told now and then how many pictures have been decoded, from one thread at a time.
using DataProgress = std::function<void(int64_t done, int64_t all)>;

/// Reads a dataset.
///
/// folder: where to look; for CIFAR the official binary folder, a folder that holds it, or the
/// official .tar.gz (or a folder that holds that). For pictures: their folder or archive. For the sample: the folder of
/// its sheets, or empty for the one that comes with mfi ($MFI_SAMPLE, the source tree, or share/mfi/sample beside the
/// program's bin or the library's lib).
/// Every record is checked. `limit` takes the first images of each class, equally many. The held-out
/// images are drawn evenly from all classes, by seed; they are the same for every later step. So are those with labels.
/// The fingerprint covers what `limit` leaves, whatever is held out of it.
/// Throws NotFoundError saying what was looked for and how to get it, DataError naming file and
/// record, RecipeError naming the setting.
DataSplits open_data(const DataSettings& settings, const std::filesystem::path& folder,
                     const DataProgress& progress = {});

/// What a plan has to know of a dataset.
struct DataShape {
  int64_t classes = 10;
  int64_t image_size = 32;
  int64_t training_images = 0;  // that a run trains on: without those held out, and limited
  int64_t unlabelled_pictures = 0;
  int64_t validation_images = 0;  // held out, or of a folder of their own
};

/// Known without reading for all but pictures, whose names are listed and whose sizes are looked at. Errors as
/// open_data.
DataShape data_shape(const DataSettings& settings, const std::filesystem::path& folder);

/// Sums over pixels, image by image.
class PixelSums {
 public:
  /// planes: 3 x `pixels` bytes.
  void add(const uint8_t* planes, int64_t pixels);
  void add(const PixelSums& other);
  /// Mean and standard deviation of a channel; the latter at least 1/255, for images of one colour.
  Normalisation normalisation() const;

 private:
  // Whole numbers: exact, and independent of the order.
  std::array<uint64_t, 3> sum_{}, squares_{};
  int64_t pixels_ = 0;
};

/// Over all pixels. For images in memory.
Normalisation measure_normalisation(const Dataset& data);

}  // namespace mfi
