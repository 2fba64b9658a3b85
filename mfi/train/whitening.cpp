#include "mfi/train/whitening.h"

#include <algorithm>

#include "mfi/core/stop_signal.h"
#include "mfi/data/augment.h"
#include "mfi/data/splits.h"

namespace mfi {
namespace {

constexpr int64_t kImages = 5000, kPixelsAtOnce = 1 << 19;  // 512 images of CIFAR; 10 of 224 pixels

}  // namespace

void whiten_stem(Network& network, const Dataset& images, const Normalisation& normalisation) {
  torch::NoGradGuard no_grad;
  const auto& stem = dynamic_cast<Stem&>(*network.part(0));
  auto& weight = stem.conv->conv->weight;
  const int64_t stride = stem.conv->conv->shape().stride;
  const int64_t filters = weight.size(0), kernel = weight.size(2), values = weight.size(1) * kernel * kernel;
  const int64_t count = std::min(kImages, images.size()),
                at_once = std::max<int64_t>(1, kPixelsAtOnce / (images.height() * images.width()));
  // A folder's pictures come class by class.
  const auto places = (torch::arange(count, torch::kInt64) * images.size()).div(count, "floor");

  auto sum = torch::zeros({values, values}, torch::kFloat64), mean = torch::zeros({values}, torch::kFloat64);
  int64_t patches = 0;
  for (int64_t first = 0; first < count; first += at_once) {
    throw_if_stopped();
    const auto part = pick(images, places.narrow(0, first, std::min(at_once, count - first)).contiguous());
    const auto some = part.first_images(part.size());
    const auto pixels = normalise(some, normalisation, torch::kFloat32).contiguous();
    // Without padding: the black around an image is no part of it.
    const auto columns = at::im2col(pixels, {kernel, kernel}, {1, 1}, {0, 0}, {stride, stride})
                             .transpose(0, 1)
                             .reshape({values, -1})
                             .to(torch::kFloat64);
    sum += columns.matmul(columns.t());
    mean += columns.sum(1);
    patches += columns.size(1);
  }
  mean /= patches;
  const auto covariance = sum / patches - at::outer(mean, mean);
  // Ascending eigenvalues; a column each.
  const auto directions = std::get<1>(at::linalg_eigh(covariance)).flip(1).t();

  const double norm = weight.pow(2).sum().div(filters).sqrt().item<double>();
  const int64_t pairs = std::min(values, filters / 2);
  for (int64_t i = 0; i < pairs; ++i) {
    // An eigenvector has no sign of its own: the largest entry is made positive, so that it is the same everywhere.
    auto direction = directions[i];
    if (direction[direction.abs().argmax()].item<double>() < 0) direction = -direction;
    const auto filter = (direction * norm).view(weight.sizes().slice(1)).to(weight.options());
    weight[2 * i].copy_(filter);
    weight[2 * i + 1].copy_(-filter);
  }
}

}  // namespace mfi
