// Whether numbers are numbers.
#pragma once

#include "mfi/core/torch.h"

#include <string>
#include <utility>
#include <vector>

namespace mfi {

/// Whether no element is infinite or NaN. Whole numbers are finite. float32 on the CPU goes at the memory's speed.
bool all_finite(const torch::Tensor& tensor);

/// The name of the first tensor with an element that is not finite; "" when there is none. Waits once for a GPU.
std::string first_not_finite(const std::vector<std::pair<std::string, torch::Tensor>>& tensors);

}  // namespace mfi
