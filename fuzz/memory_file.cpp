#include "fuzz/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace mfi::fuzz {

std::filesystem::path memory_file(std::string_view bytes) {
  static const int file = ::memfd_create("input", MFD_CLOEXEC);
  static const std::filesystem::path path = "/proc/self/fd/" + std::to_string(file);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(bytes.size())) != 0 ||
      ::pwrite(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("a file in memory cannot be written");
  return path;
}

}  // namespace mfi::fuzz
