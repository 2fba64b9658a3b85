// The checksum of mfi's files.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mfi {

/// XXH3 of 64 bits, seed 0 (github.com/Cyan4973/xxHash, as libxxhash computes it).
uint64_t xxh3(const void* data, size_t bytes);

}  // namespace mfi
