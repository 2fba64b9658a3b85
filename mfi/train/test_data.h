// Small made-up data for the tests of this room and those above it.
#pragma once

#include <string>

#include "mfi/core/test_folder.h"
#include "mfi/data/dataset.h"

namespace mfi {

/// `count` images of 8x8 pixels in `classes` classes; a class shows in the mean brightness, so a
/// network learns it within a few steps.
inline Dataset made_up_dataset(int64_t count, int64_t classes, uint64_t seed = 0) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  Dataset data;
  data.labels = torch::arange(count) % classes;
  const auto level = (data.labels * (200 / classes) + 20).view({-1, 1, 1, 1}).to(torch::kFloat32);
  data.images = (level + 10 * torch::randn({count, 3, 8, 8}, generator)).clamp(0, 255).to(torch::kUInt8).contiguous();
  for (int64_t c = 0; c < classes; ++c) data.class_names.push_back("class" + std::to_string(c));
  return data;
}

}  // namespace mfi
