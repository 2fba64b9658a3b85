#include "mfi/core/free_space.h"

#include <sys/statvfs.h>

#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {

void require_space(const std::filesystem::path& folder, uint64_t bytes, const std::string& what) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return;
  const auto free = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
  if (free >= static_cast<double>(bytes)) return;
  throw IoError(folder.string() + ": " + bytes_text(free) + " free, " + what + " needs " +
                bytes_text(static_cast<double>(bytes)) +
                " for its checkpoints and its model; free some and run the same command again");
}

}  // namespace mfi
