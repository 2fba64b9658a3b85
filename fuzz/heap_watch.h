// How much heap memory a piece of code takes, to the byte and whatever else runs on the machine.
#pragma once

#include <cstddef>

namespace mfi::fuzz {

/// Counts from its beginning on, for the whole process: new, malloc and what C libraries take. One at a time.
class HeapWatch {
 public:
  HeapWatch();
  /// The most bytes that were taken at once beyond those at the beginning.
  size_t peak() const;
};

}  // namespace mfi::fuzz
