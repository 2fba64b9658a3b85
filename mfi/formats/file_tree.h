// A folder's or an archive's files by their names, read one by one. No LibTorch here.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace mfi {

/// Files below one place. Reading is safe from several threads.
class FileTree {
 public:
  virtual ~FileTree() = default;

  /// Paths from the place, with '/', sorted; hidden files and folders (.git, __MACOSX) are left out. Links count as
  /// what they lead to, and are there too when they lead nowhere.
  const std::vector<std::string>& names() const { return names_; }
  /// A whole file's bytes. Throws NotFoundError, IoError, or DataError for an archive's link that leads nowhere.
  virtual std::string read(size_t index) const = 0;
  /// Bytes that change, as good as always, when the file does: all, or its size and both ends where reading all takes
  /// long. Compressed formats carry any change on to their end.
  virtual std::string identity(size_t index) const { return read(index); }

 protected:
  std::vector<std::string> names_;
};

/// Of a folder, or of a tar or zip archive, compressed or not, which is read into memory. Throws NotFoundError, or
/// DataError for a folder with a link back to one around it, for an archive that is damaged or whose files are larger
/// than `most_bytes` together.
std::unique_ptr<FileTree> open_file_tree(const std::filesystem::path& place, uint64_t most_bytes = uint64_t{64} << 30);

}  // namespace mfi
