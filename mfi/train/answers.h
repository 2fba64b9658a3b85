// What a classifier answered, image by image.
#pragma once

#include <cstdint>
#include <vector>

namespace mfi {

/// One entry an image, in the dataset's order.
struct Answers {
  std::vector<int64_t> classes;      // the most probable
  std::vector<float> probabilities;  // of those
  std::vector<int64_t> labels;       // the true classes
};

}  // namespace mfi
