#include "mfi/train/smaller_images.h"

#include <algorithm>
#include <cmath>

namespace mfi {
namespace {

int64_t small_epochs(const StepSettings& settings) {
  return std::llround(settings.small_until * static_cast<double>(settings.epochs));
}

}  // namespace

int64_t side_in_epoch(const StepSettings& settings, int64_t epoch, int64_t side) {
  if (epoch >= small_epochs(settings)) return side;
  constexpr double kMultiple = 4;
  const auto wanted = std::llround(settings.small_side * static_cast<double>(side) / kMultiple);
  return std::clamp<int64_t>(4 * wanted, 4, std::max<int64_t>(side, 4));
}

double epochs_of_work_left(const StepSettings& settings, int64_t epoch, double done, int64_t side) {
  const auto work = [&](int64_t e) { return std::pow(static_cast<double>(side_in_epoch(settings, e, side)), 2); };
  const auto small = std::max<int64_t>(0, small_epochs(settings) - epoch - 1);
  const auto full = settings.epochs - epoch - 1 - small;
  return 1 - done +
         (static_cast<double>(small) * work(0) + static_cast<double>(full) * work(settings.epochs)) / work(epoch);
}

torch::Tensor resized_to(const torch::Tensor& images, int64_t side) {
  if (images.size(2) == side && images.size(3) == side) return images;
  torch::NoGradGuard no_grad;
  return at::_upsample_bilinear2d_aa(images.to(torch::kFloat32), {side, side}, /*align_corners=*/false)
      .to(images.scalar_type())
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

}  // namespace mfi
