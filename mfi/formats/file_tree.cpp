#include "mfi/formats/file_tree.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/formats/archive_filters.h"
#include "mfi/formats/archive_names.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kFreeBytes = 16'000'000, kBesideAFile = 128;

// The size that the archive gives for a file, as far as it can be true.
size_t announced(archive_entry* entry, uint64_t most) {
  return archive_entry_size_is_set(entry)
             ? static_cast<size_t>(std::clamp<int64_t>(archive_entry_size(entry), 0, static_cast<int64_t>(most)))
             : 0;
}

// A name in an archive as seen from there: some begin with a slash, or with dots that lead out of it.
fs::path within(const fs::path& name) {
  fs::path out;
  for (const auto& part : name.lexically_normal().relative_path())
    if (part != "..") out /= part;
  return out;
}

bool is_hidden(const std::string& name) { return name.starts_with('.') || name == "__MACOSX"; }

class Folder : public FileTree {
 public:
  explicit Folder(const fs::path& place) : place_(place) {
    add_files(place);
    std::sort(names_.begin(), names_.end());
  }

  std::string read(size_t index) const override { return read_file(place_ / names_[index]); }

  std::string identity(size_t index) const override {
    constexpr std::streamoff kEnd = 4096;
    const auto path = place_ / names_[index];
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const std::streamoff size = file.tellg();
    if (!file || size <= 2 * kEnd) return read(index);  // also where it cannot be read: this says why
    std::string bytes(2 * kEnd, '\0');
    file.seekg(0).read(bytes.data(), kEnd);
    file.seekg(size - kEnd).read(bytes.data() + kEnd, kEnd);
    if (!file) throw IoError(path.string() + ": cannot be read");
    return std::to_string(size) + "\n" + bytes;
  }

 private:
  // Links are followed; one that leads back to a folder around it would be followed for ever.
  void add_files(const fs::path& folder) {
    std::error_code error;
    const auto real = fs::canonical(folder, error);
    if (std::find(around_.begin(), around_.end(), real) != around_.end())
      throw DataError(folder.string() + ": is a link back to " + real.string() + ", which is around it; remove it");
    around_.push_back(real);
    fs::directory_iterator files(folder, error);
    for (const fs::directory_iterator end; !error && files != end; files.increment(error)) {
      const auto& path = files->path();
      if (is_hidden(path.filename().string())) continue;
      const auto kind = fs::status(path, error).type();
      error.clear();  // of a link to nowhere or to itself, which is listed: reading it says what is wrong
      if (kind == fs::file_type::directory)
        add_files(path);
      else if (kind == fs::file_type::regular || kind == fs::file_type::not_found || kind == fs::file_type::none)
        names_.push_back(path.lexically_relative(place_).generic_string());
    }
    if (error) throw NotFoundError(folder.string() + ": cannot be read: " + error.message());
    around_.pop_back();
  }

  fs::path place_;
  std::vector<fs::path> around_;  // while folders are listed: those that one is in
};

class Archive : public FileTree {
 public:
  Archive(const fs::path& file, uint64_t most_bytes) {
    std::error_code no_size;
    const auto file_bytes = fs::file_size(file, no_size);
    const Utf8Names utf8_names;
    // Pictures do not get smaller in an archive; a bomb does.
    const uint64_t likely = no_size ? most_bytes : file_bytes + file_bytes / 2 + kFreeBytes;
    const std::unique_ptr<archive, int (*)(archive*)> input(archive_read_new(), archive_read_free);
    support_usual_filters(input.get());
    archive_read_support_format_tar(input.get());
    archive_read_support_format_zip(input.get());
    const auto fail = [&](const std::string& what) {
      const char* reason = archive_error_string(input.get());
      throw DataError(file.string() + ": " + what + (reason ? std::string(" (") + reason + ")" : ""));
    };
    if (archive_read_open_filename(input.get(), file.c_str(), 1 << 18) != ARCHIVE_OK) fail("not a readable archive");
    uint64_t total = 0;
    const auto add = [&](uint64_t bytes) {
      total += bytes;
      if (total > most_bytes)
        throw DataError(file.string() + ": the files in it are larger than " +
                        bytes_text(static_cast<double>(most_bytes)) + " together; unpack it and give the folder");
      if (total > likely)
        throw DataError(file.string() + ": of " + bytes_text(static_cast<double>(file_bytes)) +
                        ", but the files in it are larger than " + bytes_text(static_cast<double>(likely)) +
                        " together, which pictures are not; if they are sound, unpack it and give the folder");
    };
    for (;;) {
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(input.get(), &entry);
      if (status == ARCHIVE_EOF) break;
      if (status != ARCHIVE_OK && status != ARCHIVE_WARN) fail("damaged or cut off, or no archive");
      const char* raw_name = archive_entry_pathname(entry);
      if (!raw_name) fail("the name of a file in it cannot be read; unpack it and give the folder");
      const auto name = within(raw_name);
      if (std::any_of(name.begin(), name.end(), [](const fs::path& part) { return is_hidden(part.string()); }))
        continue;
      if (const auto target = link_target(entry, name); !target.empty()) {
        add(kBesideAFile + name.native().size() + target.size());
        links_[name.generic_string()] = target;
        continue;
      }
      if (archive_entry_filetype(entry) != AE_IFREG) continue;
      // What each takes beside its bytes: a bomb may hold a million empty ones.
      add(kBesideAFile + name.native().size());
      std::string bytes;
      char buffer[1 << 16];
      for (;;) {
        const auto got = archive_read_data(input.get(), buffer, sizeof buffer);
        if (got == 0) break;
        if (got < 0) fail("damaged or cut off, in " + shortened(name.string()));
        add(static_cast<uint64_t>(got));
        // By as much as is there, for twice as much would be beyond what the archive is held to.
        if (bytes.size() + static_cast<size_t>(got) > bytes.capacity())
          bytes.reserve(std::max(announced(entry, likely - total), bytes.size() + bytes.size() / 8) + sizeof buffer);
        bytes.append(buffer, static_cast<size_t>(got));
      }
      files_[name.generic_string()] = std::move(bytes);
    }
    for (const auto& [name, bytes] : files_) {
      names_.push_back(name);
      links_.erase(name);  // of two entries of one name
    }
    for (const auto& [name, target] : links_) names_.push_back(name);
    std::sort(names_.begin(), names_.end());
    file_ = file.string();
  }

  std::string read(size_t index) const override {
    auto name = names_[index];
    constexpr int kMostLinks = 16;
    for (int i = 0; i < kMostLinks; ++i) {
      if (const auto found = files_.find(name); found != files_.end()) return found->second;
      const auto link = links_.find(name);
      if (link == links_.end()) break;
      name = link->second;
    }
    throw DataError(file_ + "/" + shortened(names_[index]) + ": is a link to " + shortened(name) +
                    ", which is no file in the archive");
  }

 private:
  // Where a link leads, from the archive's top; "": it is none.
  static std::string link_target(archive_entry* entry, const fs::path& name) {
    if (const char* target = archive_entry_hardlink(entry)) return within(target).generic_string();
    const char* target = archive_entry_filetype(entry) == AE_IFLNK ? archive_entry_symlink(entry) : nullptr;
    if (!target) return "";
    const auto path = (name.parent_path() / target).lexically_normal();
    return (path.is_absolute() ? within(path) : path).generic_string();
  }

  std::string file_;
  std::map<std::string, std::string> files_, links_;
};

}  // namespace

std::unique_ptr<FileTree> open_file_tree(const fs::path& place, uint64_t most_bytes) {
  std::error_code error;
  if (fs::is_directory(place, error)) return std::make_unique<Folder>(place);
  if (!fs::exists(place, error)) throw NotFoundError(place.string() + ": there is no such folder or archive");
  return std::make_unique<Archive>(place, most_bytes);
}

}  // namespace mfi
