// Files that are either the old one or the new one, never a mixture.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace mfi {

/// Receives the bytes of a file in order.
using ByteSink = std::function<void(const void* data, size_t bytes)>;

/// Replaces `path` by what `write` sends to its sink.
///
/// The bytes go to "<path>.part" in the same folder, are flushed to the device (fsync), renamed over
/// `path`, and the folder is flushed too. When anything fails, `path` is as it was and the part file
/// is removed. A link to a file is replaced by the file, and what it led to stays as it is. What is no regular
/// file, such as a pipe or a device, and what names an open descriptor, /dev/stdout for one, gets the
/// bytes straight away and stays; what then fails may have sent some of them. Throws CannotWriteError
/// when the file cannot be made or opened, IoError (with the reason, "no space left on device" among
/// them) when writing fails.
void replace_file(const std::filesystem::path& path, const std::function<void(const ByteSink&)>& write);

/// The same for bytes that are all at hand.
void replace_file(const std::filesystem::path& path, std::string_view bytes);

/// Whether replace_file writes straight away into what stands there: no regular file, or an open descriptor by its
/// name.
bool is_written_into(const std::filesystem::path& path);

/// Makes what has been renamed or removed in a folder survive a power cut. Throws IoError.
void flush_folder(const std::filesystem::path& folder);

/// The whole file. Throws NotFoundError when it is missing or unreadable, IoError when reading fails.
std::string read_file(const std::filesystem::path& path);

/// Makes the folder and its parents. Throws CannotWriteError with the reason.
void make_folder(const std::filesystem::path& path);

}  // namespace mfi
