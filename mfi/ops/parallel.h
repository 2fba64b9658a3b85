// Work for LibTorch's compute threads.
#pragma once

#include <cstdint>
#include <functional>

namespace mfi {

/// Threads that for_each_parallel works with: at::get_num_threads().
int64_t parallel_threads();

/// Calls work(0) ... work(count - 1), side by side on LibTorch's threads, and returns when all have ended. Which
/// thread gets which is the same every time.
void for_each_parallel(int64_t count, const std::function<void(int64_t)>& work);

}  // namespace mfi
