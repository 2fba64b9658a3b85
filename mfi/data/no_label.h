// What stands in a label's place where there is none.
#pragma once

#include <cstdint>

namespace mfi {

/// The one that LibTorch's cross-entropy leaves out by itself.
constexpr int64_t kNoLabel = -100;

}  // namespace mfi
