// From bytes to normalised, augmented pixels in one pass.
#pragma once

#include "mfi/core/torch.h"

#include <array>
#include <cstdint>
#include <vector>

#include "mfi/data/dataset.h"

namespace mfi {

/// How one image is looked at in one epoch.
struct View {
  int down = 0, right = 0;  // shift of the window, -kCropPadding to kCropPadding pixels
  bool flip = false;        // mirrored left to right, after the shift
};

constexpr int kCropPadding = 4;

/// Which images an epoch sees mirrored.
enum class Flip {
  random,       // each with probability 1/2
  alternating,  // half of them, by chance, in the first epoch, the others in the second, and so on (Jordan 2024,
                // arXiv:2404.00498): two epochs in a row never see an image the same way round
};

/// The view of sample `index` in `epoch`: a window of the image's size, drawn uniformly from the image
/// with kCropPadding pixels around it (He et al., 2015, arXiv:1512.03385, section 4.2), mirrored as `flip` says.
/// Depends on the four only.
View random_view(uint64_t seed, int64_t epoch, int64_t index, Flip flip = Flip::random);

/// Turns bytes into (byte / 255 - mean) / stddev through a table a channel.
///
/// Pixels outside the image are black before the normalisation (byte 0), as with torchvision's usual
/// order RandomCrop(padding=4), ToTensor, Normalize; they are not the mean colour.
class PixelWriter {
 public:
  /// dtype: float32 or bfloat16 (rounded to nearest even); throws ShapeError for another.
  PixelWriter(const Normalisation& normalisation, torch::Dtype dtype);

  /// Writes one image.
  ///
  /// image: 3 x height x width bytes, planes one after another. out: room for height x width x 3
  /// values of the dtype, written with the channels innermost.
  void write(const uint8_t* image, int64_t height, int64_t width, const View& view, void* out) const;

 private:
  torch::Dtype dtype_;
  std::array<std::array<float, 256>, 3> float32_{};
  std::array<std::array<uint16_t, 256>, 3> bfloat16_{};  // the bits
};

/// A batch without augmentation. images: uint8 [N, 3, H, W], contiguous. Returns [N, 3, H, W],
/// channels-last, of `dtype` (float32 or bfloat16). Throws ShapeError for other images.
torch::Tensor normalise(const torch::Tensor& images, const Normalisation& normalisation, torch::Dtype dtype);

}  // namespace mfi
