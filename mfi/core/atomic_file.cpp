#include "mfi/core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iostream>
#include <string>
#include <system_error>

#include "mfi/core/error.h"

namespace mfi {

namespace fs = std::filesystem;

namespace {

/// Closes on scope exit.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() {
    const int value = value_;
    value_ = -1;
    return value;
  }

 private:
  int value_;
};

bool is_full(int error) { return error == ENOSPC || error == EDQUOT; }

// N of /dev/fd/N and of what else it is called; -1 where the path is no such name.
int named_descriptor(const fs::path& path) {
  const auto text = path.string();
  if (text == "/dev/stdout") return STDOUT_FILENO;
  if (text == "/dev/stderr") return STDERR_FILENO;
  for (const std::string folder : {"/dev/fd/", "/proc/self/fd/"}) {
    int number = -1;
    const auto* end = text.data() + text.size();
    if (text.starts_with(folder) && std::from_chars(text.data() + folder.size(), end, number).ptr == end) return number;
  }
  return -1;
}

[[noreturn]] void throw_io(const fs::path& path, int error) {
  if (is_full(error))
    throw IoError(path.string() + ": " + (error == ENOSPC ? "no space left on device" : "the disk quota is used up") +
                  (is_written_into(path) ? "" : "; the file is as it was before") +
                  ": free some and run the same command again");
  if (error == EFBIG)
    throw IoError(path.string() + ": larger than this file system or the limit of the process (ulimit -f) allows");
  throw IoError(path.string() + ": writing failed: " + std::strerror(error));
}

void write_all(int descriptor, const void* data, size_t bytes, const fs::path& path) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    // Linux writes at most 2 GiB a call; a smaller piece also lets a signal through.
    const ssize_t written = ::write(descriptor, next, std::min<size_t>(bytes, size_t{1} << 26));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_io(path, errno);
    }
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

/// Makes a rename in `folder` survive a power cut.
void flush_folder(const fs::path& folder, const fs::path& path) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot flush a folder (EINVAL); the file is in place all the same.
  if (descriptor.get() < 0 || (::fsync(descriptor.get()) != 0 && errno != EINVAL)) throw_io(path, errno);
}

[[noreturn]] void throw_cannot_open(const fs::path& path, int error) {
  if (is_full(error)) throw_io(path, error);
  throw CannotWriteError(path.string() + ": cannot be written: " + std::strerror(error));
}

void write_into(const fs::path& path, const std::function<void(const ByteSink&)>& write) {
  // Opened by its name, a file behind standard output would be written over from its beginning.
  const int number = named_descriptor(path);
  if (number == STDOUT_FILENO) std::cout.flush();  // what was said before stands before
  const int descriptor = number >= 0 ? ::fcntl(number, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) throw_cannot_open(path, errno);
  Descriptor file(descriptor);
  write([&](const void* data, size_t bytes) { write_all(file.get(), data, bytes, path); });
  if (::close(file.release()) != 0) throw_io(path, errno);
}

void replace_regular_file(const fs::path& path, const std::function<void(const ByteSink&)>& write) {
  fs::path part = path;
  part += ".part";
  Descriptor file(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw_cannot_open(path, errno);
  try {
    write([&](const void* data, size_t bytes) { write_all(file.get(), data, bytes, path); });
    if (::fsync(file.get()) != 0) throw_io(path, errno);
    // Network file systems report a full disk only here.
    if (::close(file.release()) != 0) throw_io(path, errno);
    if (::rename(part.c_str(), path.c_str()) != 0) throw_io(path, errno);
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
  const fs::path folder = path.parent_path();
  flush_folder(folder.empty() ? fs::path(".") : folder, path);
}

}  // namespace

// A pipe or a device would be lost where a file is moved to its place.
bool is_written_into(const fs::path& path) {
  if (named_descriptor(path) >= 0) return true;
  std::error_code unreadable;
  const auto status = fs::status(path, unreadable);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

void replace_file(const fs::path& path, const std::function<void(const ByteSink&)>& write) {
  if (is_written_into(path))
    write_into(path, write);
  else
    replace_regular_file(path, write);
}

void flush_folder(const fs::path& folder) { flush_folder(folder, folder); }

void replace_file(const fs::path& path, std::string_view bytes) {
  replace_file(path, [bytes](const ByteSink& sink) { sink(bytes.data(), bytes.size()); });
}

std::string read_file(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw NotFoundError(path.string() + ": cannot be read: " + std::strerror(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) == 0 && S_ISDIR(status.st_mode))
    throw NotFoundError(path.string() + ": is a folder, expected a file");

  std::string bytes(status.st_size > 0 ? static_cast<size_t>(status.st_size) : 0, '\0');
  size_t have = 0;
  // The size is only a hint: the files of /proc say 0, and a file may grow meanwhile.
  for (;;) {
    if (have == bytes.size()) bytes.resize(have + 4096);
    const ssize_t got = ::read(file.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0) {
      if (errno == EINTR) continue;
      throw IoError(path.string() + ": reading failed: " + std::strerror(errno));
    }
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error) && !error) error = std::make_error_code(std::errc::not_a_directory);
  if (error) throw CannotWriteError(path.string() + ": the folder cannot be made: " + error.message());
}

}  // namespace mfi
