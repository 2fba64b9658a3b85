#include "mfi/core/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "mfi/core/error.h"

namespace mfi {

namespace {

std::string owner_text() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "unknown");
  return "process " + std::to_string(::getpid()) + " on " + host.data() + "\n";
}

std::string read_owner(int descriptor) {
  std::array<char, 512> text{};
  const ssize_t bytes = ::pread(descriptor, text.data(), text.size(), 0);
  std::string owner(text.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0);
  owner = owner.substr(0, owner.find('\n'));
  // Empty in the moment between the owner's lock and its signature.
  return owner.empty() ? "another process" : owner;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / ".lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw CannotWriteError(path.string() + ": cannot be made: " + std::strerror(errno));

  int failed;
  do failed = ::flock(descriptor_, LOCK_EX | LOCK_NB);
  while (failed != 0 && errno == EINTR);
  if (failed != 0) {
    const int error = errno;
    const std::string owner = read_owner(descriptor_);
    ::close(descriptor_);
    if (error == EWOULDBLOCK)
      throw BusyError(folder.string() + ": in use by " + owner +
                      "; wait until it has ended, or choose another folder with --out");
    throw CannotWriteError(path.string() + ": cannot be locked: " + std::strerror(error));
  }

  // The signature is only for the others' message, so a failure here (a full disk) is no reason to stop.
  const std::string owner = owner_text();
  if (::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, owner.data(), owner.size(), 0) < 0) errno = 0;
}

RunLock::~RunLock() {
  // The file stays: removing it would let a third process lock a new file of the same name while a
  // second one has just locked the removed one.
  ::close(descriptor_);
}

}  // namespace mfi
