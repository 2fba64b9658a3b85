// Makes one of a program's calls fail on purpose: a library to be loaded before libc (LD_PRELOAD).
//
// MFI_FAULT="CALL:N:ACTION" lets the N-th call of that kind (from 1) fail, "CALL:N+:ACTION" that one and all after it.
// CALL:
//   open, write, fsync, rename   of files that are written beside the one that they will replace (*.part); fsync of
//                                folders too
//   fopen                        of a training's states, for reading
// ACTION: ENOSPC, EIO, EINTR (no such call), SHORT (write: only half is written, which is no error), KILL (of the
// process, before the call; of a write, after half of it). MFI_FAULT_COUNTS=FILE: the number of calls of each kind is
// written there at the end, whatever MFI_FAULT is.
//
// MFI_CLOCK_BACK=SECONDS: the clock on the wall goes back by so much at each reading, as when somebody sets it.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

enum Call { kOpen, kWrite, kFsync, kRename, kFopen, kCalls };
constexpr const char* kNames[kCalls] = {"open", "write", "fsync", "rename", "fopen"};

std::array<std::atomic<long>, kCalls> counts{};
std::array<std::atomic<bool>, 4096> watched{};  // file descriptors

struct Fault {
  int call = -1;
  long number = 0;
  bool persistent = false;
  std::string action;
};

const Fault& fault() {
  static const Fault parsed = [] {
    Fault out;
    const char* text = std::getenv("MFI_FAULT");
    if (!text) return out;
    const std::string all = text;
    const auto first = all.find(':'), second = all.find(':', first + 1);
    for (int call = 0; call < kCalls; ++call)
      if (all.substr(0, first) == kNames[call]) out.call = call;
    const auto number = all.substr(first + 1, second - first - 1);
    out.number = std::strtol(number.c_str(), nullptr, 10);
    out.persistent = number.back() == '+';
    out.action = all.substr(second + 1);
    return out;
  }();
  return parsed;
}

/// What is to become of this call; "" for nothing special.
std::string action_of(Call call) {
  const long number = ++counts[call];
  const Fault& f = fault();
  if (f.call != call || number < f.number || (number > f.number && !f.persistent)) return "";
  return f.action;
}

[[noreturn]] void die() {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/// True when the call is to fail; errno says how.
bool fails(const std::string& action) {
  if (action == "KILL") die();
  if (action == "ENOSPC") errno = ENOSPC;
  if (action == "EIO") errno = EIO;
  if (action == "EINTR") errno = EINTR;
  return action == "ENOSPC" || action == "EIO" || action == "EINTR";
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool ends_with(const char* path, const char* end) {
  const size_t length = std::strlen(path), wanted = std::strlen(end);
  return length >= wanted && std::strcmp(path + length - wanted, end) == 0;
}

int watched_open(const char* name, const char* path, int flags, mode_t mode) {
  const auto open_it = real<int(const char*, int, mode_t)>(name);
  const bool part = ends_with(path, ".part"), folder = (flags & O_DIRECTORY) != 0;
  if (part && fails(action_of(kOpen))) return -1;
  const int descriptor = open_it(path, flags, mode);
  if (descriptor >= 0 && static_cast<size_t>(descriptor) < watched.size())
    watched[static_cast<size_t>(descriptor)] = part || folder;
  return descriptor;
}

bool is_watched(int descriptor) {
  return descriptor >= 0 && static_cast<size_t>(descriptor) < watched.size() &&
         watched[static_cast<size_t>(descriptor)];
}

/// Seconds to be taken off a reading of the clock on the wall.
time_t behind() {
  static const char* const text = std::getenv("MFI_CLOCK_BACK");
  static std::atomic<long> readings{0};
  return text ? std::strtol(text, nullptr, 10) * ++readings : 0;
}

struct AtEnd {
  ~AtEnd() {
    const char* path = std::getenv("MFI_FAULT_COUNTS");
    if (!path) return;
    if (std::FILE* file = real<std::FILE*(const char*, const char*)>("fopen")(path, "w")) {
      for (int call = 0; call < kCalls; ++call) std::fprintf(file, "%s %ld\n", kNames[call], counts[call].load());
      std::fclose(file);
    }
  }
} at_end;

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return watched_open("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return watched_open("open64", path, flags, mode);
}

ssize_t write(int descriptor, const void* data, size_t bytes) {
  static const auto write_it = real<ssize_t(int, const void*, size_t)>("write");
  if (!is_watched(descriptor)) return write_it(descriptor, data, bytes);
  const auto action = action_of(kWrite);
  if (action == "SHORT" && bytes > 1) return write_it(descriptor, data, bytes / 2);
  if (action == "KILL" && write_it(descriptor, data, bytes / 2) >= 0) die();
  return fails(action) ? -1 : write_it(descriptor, data, bytes);
}

int fsync(int descriptor) {
  static const auto fsync_it = real<int(int)>("fsync");
  if (is_watched(descriptor) && fails(action_of(kFsync))) return -1;
  return fsync_it(descriptor);
}

int rename(const char* from, const char* to) {
  static const auto rename_it = real<int(const char*, const char*)>("rename");
  if (ends_with(from, ".part") && fails(action_of(kRename))) return -1;
  return rename_it(from, to);
}

std::FILE* fopen(const char* path, const char* mode) {
  static const auto fopen_it = real<std::FILE*(const char*, const char*)>("fopen");
  if (std::strstr(path, "/state-") && fails(action_of(kFopen))) return nullptr;
  return fopen_it(path, mode);
}

int clock_gettime(clockid_t clock, timespec* now) {
  static const auto read_it = real<int(clockid_t, timespec*)>("clock_gettime");
  const int result = read_it(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec -= behind();
  return result;
}

time_t time(time_t* out) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
}
