#include "fuzz/target.h"

#include <stdexcept>

#include "fuzz/heap_watch.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi::fuzz {

namespace {
constexpr size_t kLongestMessage = 2000;
constexpr size_t kFreeBytes = 64'000'000;
}  // namespace

void require(bool holds, const char* property) {
  if (!holds) throw std::logic_error(std::string("does not hold: ") + property);
}

std::string problem_of(std::string_view bytes) {
  const HeapWatch heap;
  try {
    parse(bytes);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.exit_code() == ExitCode::internal) return "an error of mfi's own: " + message;
    if (message.size() > kLongestMessage || message.empty())
      return format("a message of %zu letters, expected 1 to %zu", message.size(), kLongestMessage);
  }
  const size_t most = bytes.size() + kFreeBytes;
  if (heap.peak() > most)
    return format("%zu bytes of heap memory for an input of %zu, expected at most %zu", heap.peak(), bytes.size(),
                  most);
  return "";
}

}  // namespace mfi::fuzz
