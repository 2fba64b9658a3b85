// Keeping processes out of each other's folders.
#pragma once

#include <filesystem>
#include <string>

namespace mfi {

struct LockOptions {
  bool shared = false;           // others that share may hold it too; one that does not keeps all out
  bool parents_will_do = false;  // the process that started this one may hold it in its stead
  double patience_seconds = 0;   // to wait for it before giving up
  std::string name = ".lock";    // of the lock file
};

/// What a look at a folder's lock tells.
struct LockLook {
  bool held = false;  // so that nobody may share it
  std::string
      owner;  // as the file has it, "process 4711 on node12"; the last one's where it is not held; "": nobody ever
};

/// Looks without writing. For a moment it shares the lock itself, so one who wants it alone needs a little patience.
LockLook look_at_lock(const std::filesystem::path& folder, const std::string& name = LockOptions{}.name);

/// Holds the lock of a folder (flock on "<folder>/.lock") for as long as it lives.
///
/// The kernel drops the lock when the process ends, however it ends, so a killed run leaves nothing
/// to clean up. The file holds the owner's host and process id for the message that others get; of
/// several that share it, those of the last to come. On a shared file system it holds between
/// machines where that file system supports flock (NFS does, Lustre when mounted with it).
class RunLock {
 public:
  /// Throws BusyError naming the owner when another process holds the lock, CannotWriteError when
  /// the lock file cannot be made or locked.
  explicit RunLock(const std::filesystem::path& folder, const LockOptions& options = {});
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_ = -1;  // stays -1 where the parent's lock does
};

}  // namespace mfi
