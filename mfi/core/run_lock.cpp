#include "mfi/core/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "mfi/core/error.h"

namespace mfi {

namespace {

std::string owner_text(pid_t process) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "unknown");
  return "process " + std::to_string(process) + " on " + host.data();
}

std::string read_owner(int descriptor) {
  std::array<char, 512> text{};
  const ssize_t bytes = ::pread(descriptor, text.data(), text.size(), 0);
  std::string owner(text.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0);
  return owner.substr(0, owner.find('\n'));
}

// 0, or the errno of what went wrong.
int lock_now(int descriptor, bool shared) {
  int failed;
  do failed = ::flock(descriptor, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
  while (failed != 0 && errno == EINTR);
  return failed == 0 ? 0 : errno;
}

int lock_patiently(int descriptor, const LockOptions& options) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() +
                   std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.patience_seconds));
  for (;;) {
    const int error = lock_now(descriptor, options.shared);
    if (error != EWOULDBLOCK || Clock::now() >= end) return error;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& folder, const LockOptions& options) {
  const std::filesystem::path path = folder / options.name;
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw CannotWriteError(path.string() + ": cannot be made: " + std::strerror(errno));

  if (const int error = lock_patiently(descriptor_, options); error != 0) {
    const std::string owner = read_owner(descriptor_);
    ::close(descriptor_);
    descriptor_ = -1;
    if (error == EWOULDBLOCK) {
      if (options.parents_will_do && owner == owner_text(::getppid())) return;
      // Empty in the moment between the owner's lock and its signature.
      throw BusyError(folder.string() + ": in use by " + (owner.empty() ? "another process" : owner) +
                      "; wait until it has ended, or choose another folder with --out");
    }
    throw CannotWriteError(path.string() + ": cannot be locked: " + std::strerror(error));
  }

  // The signature is only for the others' message, so a failure here (a full disk) is no reason to stop.
  const std::string owner = owner_text(::getpid()) + (options.shared ? ", which runs one of its steps" : "") + "\n";
  if (::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, owner.data(), owner.size(), 0) < 0) errno = 0;
}

LockLook look_at_lock(const std::filesystem::path& folder, const std::string& name) {
  LockLook out;
  const int descriptor = ::open((folder / name).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return out;
  out.held = lock_now(descriptor, /*shared=*/true) == EWOULDBLOCK;
  out.owner = read_owner(descriptor);
  ::close(descriptor);
  return out;
}

RunLock::~RunLock() {
  // The file stays: removing it would let a third process lock a new file of the same name while a
  // second one has just locked the removed one.
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace mfi
