// Batches, augmented (and pictures decoded) beside the training on the previous one.
#pragma once

#include "mfi/core/torch.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mfi/core/batch_share.h"
#include "mfi/data/augment.h"
#include "mfi/data/dataset.h"

namespace mfi {

/// One step's worth of images.
struct Batch {
  torch::Tensor images;               // [N, 3, H, W], channels-last, normalised, of LoaderSettings::dtype
  torch::Tensor labels;               // int64 [N]
  int64_t whole = 0;                  // images of the whole batch, of which these are a share; N without shares
  std::vector<int64_t> indices = {};  // of these images in the dataset
  torch::Tensor full_size = {};       // the images before a training made them smaller; undefined: it did not
};

struct LoaderSettings {
  int64_t batch_size = 128;
  bool shuffle = true;  // a new order each epoch
  bool augment = true;  // random shift (augment.h) or, of pictures that ask for it, random part; random flip
  Flip flip = Flip::random;
  bool drop_last = true;  // leave out a last, smaller batch (its batch statistics would be poor)
  uint64_t seed = 0;
  torch::Dtype dtype = torch::kFloat32;  // float32 or bfloat16
  Normalisation normalisation;
  BatchShare share;  // hand out only these images of every batch; batches in which there are none are left out
  int64_t threads =
      0;  // that make batches; 0: one, and for pictures, which have to be decoded, as many as LibTorch has
};

/// Walks over a dataset once an epoch.
///
/// What a sample looks like depends on (seed, epoch, its index in the dataset) only; the order of
/// samples on (seed, epoch). So epoch e can be had without the epochs before it.
class Loader {
 public:
  /// Keeps `data`'s tensors or pictures (no copy). Throws DataError when the dataset is empty or smaller than a
  /// batch that is not to be dropped.
  Loader(const Dataset& data, const LoaderSettings& settings);
  ~Loader();

  int64_t batches_per_epoch() const;
  const LoaderSettings& settings() const;

  /// Starts epoch `epoch` (from 0) at batch `first_batch`, dropping what is left of the current one.
  void start_epoch(int64_t epoch, int64_t first_batch = 0);

  /// The next batch of the epoch, or nothing at its end. A picture's file that cannot be read is an error here:
  /// NotFoundError, IoError, DataError naming it.
  std::optional<Batch> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mfi
