#include "mfi/data/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/sha256.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"

namespace mfi {

namespace fs = std::filesystem;

namespace {

constexpr const char* kOfficialAddress = "https://www.cs.toronto.edu/~kriz";

/// "<file>.part", held by this process alone while the object lives.
class PartFile {
 public:
  explicit PartFile(const fs::path& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw CannotWriteError(path.string() + ": cannot be written: " + std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      ::close(descriptor_);
      throw BusyError(path.string() + ": another process is downloading it; wait until it has ended");
    }
  }
  ~PartFile() { ::close(descriptor_); }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  uint64_t size() const {
    const off_t end = ::lseek(descriptor_, 0, SEEK_END);
    if (end < 0) throw_io();
    return static_cast<uint64_t>(end);
  }
  void clear() {
    if (::ftruncate(descriptor_, 0) != 0) throw_io();
  }
  void append(const char* data, size_t bytes) {
    while (bytes > 0) {
      const ssize_t written = ::write(descriptor_, data, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw_io();
      data += written;
      bytes -= static_cast<size_t>(written);
    }
  }
  void flush() {
    if (::fsync(descriptor_) != 0) throw_io();
  }

 private:
  [[noreturn]] void throw_io() const {
    if (errno == ENOSPC)
      throw IoError(path_.string() +
                    ": no space left on device; free some and run the same command again: " + "it goes on from here");
    throw IoError(path_.string() + ": writing failed: " + std::strerror(errno));
  }

  fs::path path_;
  int descriptor_;
};

/// What libcurl's callbacks need. They must not throw through C code, so an exception waits here.
struct Transfer {
  const RemoteFile& file;
  PartFile& part;
  const DownloadProgress& progress;
  uint64_t done = 0;
  std::exception_ptr failure;
};

size_t on_bytes(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  try {
    if (transfer.done + bytes > transfer.file.bytes)
      throw DataError(transfer.file.url + ": longer than the expected " + std::to_string(transfer.file.bytes) +
                      " bytes: not the official file");
    transfer.part.append(data, bytes);
    transfer.done += bytes;
    return bytes;
  } catch (...) {
    transfer.failure = std::current_exception();
    return 0;  // ends the transfer
  }
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  try {
    throw_if_stopped();
    if (transfer.progress) transfer.progress(transfer.done, transfer.file.bytes);
    return 0;
  } catch (...) {
    transfer.failure = std::current_exception();
    return 1;
  }
}

/// One request for what is missing. Returns libcurl's code and its words for it.
std::pair<CURLcode, std::string> request_rest(Transfer& transfer) {
  [[maybe_unused]] static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) throw Error(ExitCode::internal, "libcurl cannot be started");
  CURL* curl = handle.get();
  std::vector<char> words(CURL_ERROR_SIZE, '\0');
  curl_easy_setopt(curl, CURLOPT_URL, transfer.file.url.c_str());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words.data());
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "mfi");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
  // A line that is dead for a minute ends the request; a slow one may take its time.
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
  curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer.done));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  const CURLcode code = curl_easy_perform(curl);
  return {code, words[0] ? words.data() : curl_easy_strerror(code)};
}

/// Brings the part to its full size.
void fetch_part(Transfer& transfer, const fs::path& part_path) {
  bool goes_on = true;  // this server can go on from the middle, as far as is known
  for (;;) {
    const uint64_t before = transfer.done;
    const auto [code, words] = request_rest(transfer);
    if (transfer.failure) std::rethrow_exception(transfer.failure);
    if (transfer.done == transfer.file.bytes) return;
    if (code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME) {
      // This server cannot go on from the middle.
      if (before == 0) throw IoError(transfer.file.url + ": cannot be downloaded: " + words);
      transfer.part.clear();
      transfer.done = 0;
      goes_on = false;
      continue;
    }
    // It has answered to the end, and has no more: asked again it would say the same.
    if (code == CURLE_OK && (transfer.done == before || !goes_on))
      throw DataError(transfer.file.url + ": ends after " + std::to_string(transfer.done) + " of the expected " +
                      std::to_string(transfer.file.bytes) + " bytes: not the official file");
    if (code == CURLE_HTTP_RETURNED_ERROR || transfer.done == before)
      throw IoError(transfer.file.url + ": cannot be downloaded: " + words +
                    (transfer.done > 0
                         ? "; the first " + bytes_text(static_cast<double>(transfer.done)) + " are kept in " +
                               part_path.string() + ", the same command goes on from there"
                         : "; see that the network is there (behind a proxy: set https_proxy), then run "
                           "the same command again, or set MFI_DATA_URL to a mirror"));
    // The connection broke, or the server sent less than announced, but something came: go on.
  }
}

}  // namespace

RemoteFile dataset_archive(const std::string& name) {
  const char* address = std::getenv("MFI_DATA_URL");
  const std::string base = address && *address ? address : kOfficialAddress;
  if (name == "cifar-10")
    return {base + "/cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz", 170'052'171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"};
  if (name == "cifar-100")
    return {base + "/cifar-100-binary.tar.gz", "cifar-100-binary.tar.gz", 168'513'733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"};
  if (name == "sample") throw UsageError("the sample comes with mfi; there is nothing to download");
  const std::string near = nearest_name(name, {"cifar-10", "cifar-100"});
  throw UsageError("unknown dataset \"" + name + "\", expected cifar-10 or cifar-100" +
                   (near.empty() ? "" : "; did you mean " + near + "?"));
}

fs::path fetch_file(const RemoteFile& file, const fs::path& folder, const DownloadProgress& progress) {
  make_folder(folder);
  const fs::path path = folder / file.name;
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored) && fs::file_size(path, ignored) == file.bytes &&
      sha256_file(path) == file.sha256) {
    if (progress) progress(file.bytes, file.bytes);
    return path;
  }

  fs::path part_path = path;
  part_path += ".part";
  PartFile part(part_path);
  Transfer transfer{file, part, progress, part.size(), nullptr};
  if (transfer.done > file.bytes) {
    part.clear();
    transfer.done = 0;
  }
  try {
    if (transfer.done < file.bytes) fetch_part(transfer, part_path);
    part.flush();
    if (const std::string found = sha256_file(part_path); found != file.sha256)
      throw DataError(
          file.url + ": what came has the SHA-256 " + found + ", expected " + file.sha256 +
          "; it is removed: run the same command again, and if that fails too, the server has another file");
  } catch (const DataError&) {
    ::unlink(part_path.c_str());
    throw;
  }
  fs::rename(part_path, path, ignored);
  if (ignored) throw IoError(path.string() + ": cannot be put in place: " + ignored.message());
  if (progress) progress(file.bytes, file.bytes);
  return path;
}

fs::path download_dataset(const std::string& name, const fs::path& folder, const DownloadProgress& progress) {
  return fetch_file(dataset_archive(name), folder, progress);
}

}  // namespace mfi
