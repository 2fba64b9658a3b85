// A trained network at work: pictures in, classes out.
//
// No LibTorch here: a program that only classifies compiles in a second.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "mfi/formats/picture.h"

namespace mfi {

struct Model;

/// A class that a picture may be of.
struct Prediction {
  int64_t index = 0;  // of the class
  std::string class_name;
  double probability = 0;  // 0 to 1
};

/// What came of one picture file.
struct FilePredictions {
  std::filesystem::path file;
  std::vector<Prediction> predictions;  // the most probable first; none where there is a problem
  std::string problem;                  // why the picture could not be read; "": it could
};

enum class ClassifierPrecision {
  fp32,
  bf16,  // faster where the processor has instructions for it; rounds more coarsely
};

/// Classifies pictures of any size as the model was trained to see them: brought to the network's size by the resizing
/// and the crop that the model file names, normalised, and through the folded network.
///
/// Uses all of LibTorch's threads for one call; calls must come one at a time.
class Classifier {
 public:
  /// From a model file, as `mfi run` and `mfi import` write them. Throws NotFoundError, or CheckpointError naming the
  /// file and what is wrong with it.
  static Classifier load(const std::filesystem::path& model_file,
                         ClassifierPrecision precision = ClassifierPrecision::fp32);

  /// From a model in memory (mfi/train/checkpoint.h), which stays as it is.
  explicit Classifier(const Model& model, ClassifierPrecision precision = ClassifierPrecision::fp32);

  /// Every class's name, by its index.
  const std::vector<std::string>& class_names() const;

  /// The `top` most probable classes, the best first; all where there are fewer.
  std::vector<Prediction> classify(const RgbImage& picture, int64_t top = 1) const;

  /// The same for a JPEG, PNG or WebP file, turned upright as its EXIF orientation says. Throws NotFoundError, IoError,
  /// or DataError naming the file.
  std::vector<Prediction> classify(const std::filesystem::path& picture_file, int64_t top = 1) const;

  /// Many files as one batch, read on all cores: faster by far, but all are in memory at once, so hand over some dozens
  /// at a time. A file that cannot be read has a problem and does not keep the others from being classified.
  std::vector<FilePredictions> classify_files(const std::vector<std::filesystem::path>& files, int64_t top = 1) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace mfi
