#include "mfi/train/whitening.h"

#include <algorithm>

#include "mfi/data/augment.h"

namespace mfi {
namespace {

constexpr int64_t kImages = 5000, kImagesAtOnce = 500;

}  // namespace

void whiten_stem(Network& network, const Dataset& images, const Normalisation& normalisation) {
  torch::NoGradGuard no_grad;
  const auto& stem = dynamic_cast<Stem&>(*network.part(0));
  auto& weight = stem.conv->conv->weight;
  const int64_t stride = stem.conv->conv->shape().stride;
  const int64_t filters = weight.size(0), kernel = weight.size(2), values = weight.size(1) * kernel * kernel;
  const auto bytes = images.first_images(std::min(kImages, images.size()));

  auto sum = torch::zeros({values, values}, torch::kFloat64), mean = torch::zeros({values}, torch::kFloat64);
  int64_t patches = 0;
  for (int64_t first = 0; first < bytes.size(0); first += kImagesAtOnce) {
    const auto some = bytes.narrow(0, first, std::min(kImagesAtOnce, bytes.size(0) - first));
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
