// Types of tensors here and in files.
#pragma once

#include "mfi/core/torch.h"

#include <string>
#include <vector>

#include "mfi/formats/safetensors.h"

namespace mfi {

torch::ScalarType torch_type(TensorType type);
/// Throws ShapeError for a type that safetensors files do not hold.
TensorType file_type(torch::ScalarType type);

/// "float32"
std::string type_name(TensorType type);

/// "[64, 3, 7, 7]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace mfi
