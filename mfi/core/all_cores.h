// Work that is cut into pieces, on all cores.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace mfi {

/// Runs work(0), ..., work(count - 1) on so many threads, this one among them, in any order. What one throws is thrown
/// here once all have ended; those that had not begun are then left out.
template <class Work>
void on_threads(size_t thread_count, size_t count, const Work& work) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    for (size_t i; (i = next++) < count;) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::jthread> threads;
  for (size_t i = 1; i < std::min(thread_count, count); ++i) threads.emplace_back(run);
  run();
  threads.clear();
  if (failure) std::rethrow_exception(failure);
}

/// The same on all cores.
template <class Work>
void on_all_cores(size_t count, const Work& work) {
  on_threads(std::max(1u, std::thread::hardware_concurrency()), count, work);
}

}  // namespace mfi
