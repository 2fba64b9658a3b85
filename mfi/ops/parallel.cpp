#include "mfi/ops/parallel.h"

// A header that is parallel only in files compiled with -fopenmp, which this one is and others are not: with
// that flag they could not use the precompiled header.
#include <ATen/Parallel.h>

#ifndef _OPENMP
#error "compile this file with OpenMP, or everything in mfi/ops runs on one thread"
#endif

namespace mfi {

int64_t parallel_threads() { return at::get_num_threads(); }

void for_each_parallel(int64_t count, const std::function<void(int64_t)>& work) {
  at::parallel_for(0, count, /*grain_size=*/1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) work(i);
  });
}

}  // namespace mfi
