#include "mfi/ops/parallel.h"

// A header that is parallel only in files compiled with -fopenmp, which this one is and others are not: with
// that flag they could not use the precompiled header.
#include <ATen/Parallel.h>

#include "mfi/core/all_cores.h"

#ifndef _OPENMP
#error "compile this file with OpenMP, or everything in mfi/ops runs on one thread"
#endif

namespace mfi {

int64_t parallel_threads() { return at::get_num_threads(); }

#ifdef __SANITIZE_THREAD__
// ThreadSanitizer does not see how OpenMP's threads wait for each other: it would take all that they share for races.
// Threads that it knows get the same shares.
void for_each_parallel(int64_t count, const std::function<void(int64_t)>& work) {
  const int64_t threads = std::min(count, parallel_threads());
  const int64_t share = threads > 0 ? (count + threads - 1) / threads : 0;
  on_threads(static_cast<size_t>(threads), static_cast<size_t>(threads), [&](size_t thread) {
    const int64_t first = static_cast<int64_t>(thread) * share;
    for (int64_t i = first; i < std::min(count, first + share); ++i) work(i);
  });
}
#else
void for_each_parallel(int64_t count, const std::function<void(int64_t)>& work) {
  at::parallel_for(0, count, /*grain_size=*/1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) work(i);
  });
}
#endif

}  // namespace mfi
