// One process at a time in a run folder.
#pragma once

#include <filesystem>

namespace mfi {

/// Holds the lock of a folder (flock on "<folder>/.lock") for as long as it lives.
///
/// The kernel drops the lock when the process ends, however it ends, so a killed run leaves nothing
/// to clean up. The file holds the owner's host and process id for the message that others get.
class RunLock {
 public:
  /// Throws BusyError naming the owner when another process holds the lock, CannotWriteError when
  /// the lock file cannot be made.
  explicit RunLock(const std::filesystem::path& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace mfi
