// Fetching the official archives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace mfi {

/// A file on a server whose content is known beforehand.
struct RemoteFile {
  std::string url;
  std::string name;  // its name here
  uint64_t bytes = 0;
  std::string sha256;  // 64 lower-case hex digits
};

/// Called now and then with the bytes at hand and the bytes in all. What it throws ends the download.
using DownloadProgress = std::function<void(uint64_t done, uint64_t total)>;

/// The archive of "cifar-10" or "cifar-100". The environment variable MFI_DATA_URL replaces the
/// address up to the file name (a mirror). Throws UsageError for another name.
RemoteFile dataset_archive(const std::string& name);

/// Fetches a file into `folder` (made when missing) and returns its path.
///
/// The bytes go to "<name>.part"; what an earlier, interrupted call left there is gone on with (HTTP
/// Range). The part becomes the file only when its SHA-256 is the right one, and is removed when it is
/// not. A file that is there already and right is not fetched again.
/// A stop signal (core/stop_signal.h) ends it; the part stays.
/// Throws IoError when the network or the disk fails (the part stays), DataError when the content is
/// wrong, BusyError when another process is fetching it, CannotWriteError for the folder.
std::filesystem::path fetch_file(const RemoteFile& file, const std::filesystem::path& folder,
                                 const DownloadProgress& progress);

/// fetch_file(dataset_archive(name), ...).
std::filesystem::path download_dataset(const std::string& name, const std::filesystem::path& folder,
                                       const DownloadProgress& progress);

}  // namespace mfi
