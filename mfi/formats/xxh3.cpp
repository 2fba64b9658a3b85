#include "mfi/formats/xxh3.h"

// Compiled in, so that a program needs no libxxhash beside it.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mfi {

uint64_t xxh3(const void* data, size_t bytes) { return XXH3_64bits(data, bytes); }

}  // namespace mfi
