// Shapes as error messages show them.
#pragma once

#include "mfi/core/torch.h"

#include <sstream>
#include <string>

namespace mfi {

/// "[128, 64, 8, 8]".
inline std::string shape_text(const torch::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes();
  return out.str();
}

}  // namespace mfi
