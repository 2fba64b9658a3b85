#include "mfi/formats/cifar_binary.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <sstream>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/formats/archive_filters.h"

namespace mfi {

namespace fs = std::filesystem;

namespace {

/// Fills a buffer as far as there are bytes; fewer than asked for only at the end.
using ByteSource = std::function<size_t(void* into, size_t bytes)>;

std::string get_again(const CifarLayout& layout) {
  return "; `mfi data get " + layout.name + " --into DIR` fetches it again";
}

/// Reads one record file into records [first, first + expected) of `into`; null: only checks it.
void read_records(const CifarLayout& layout, const ByteSource& source, const std::string& file, int64_t expected,
                  CifarRecords* into, int64_t first) {
  const size_t record_bytes = static_cast<size_t>(layout.record_bytes());
  const size_t label_bytes = layout.label_classes.size();
  // A few hundred records at a time: in the cache, and little memory beside the result.
  std::vector<uint8_t> buffer(256 * record_bytes);
  int64_t record = 0;
  for (;;) {
    const size_t bytes = source(buffer.data(), buffer.size());
    for (size_t at = 0; at + record_bytes <= bytes; at += record_bytes, ++record) {
      if (record == expected)
        throw DataError(file + ": longer than the " + std::to_string(expected) + " records of " + layout.name +
                        get_again(layout));
      for (size_t l = 0; l < label_bytes; ++l)
        if (buffer[at + l] >= layout.label_classes[l])
          throw DataError(file + ": record " + std::to_string(record) + ": its " +
                          (l + 1 < label_bytes ? "coarse label" : "label") + " is " + std::to_string(buffer[at + l]) +
                          ", expected 0 to " + std::to_string(layout.label_classes[l] - 1) +
                          ": the file is damaged or not of " + layout.name + get_again(layout));
      if (!into) continue;
      const auto index = static_cast<size_t>(first + record);
      into->labels[index] = buffer[at + label_bytes - 1];
      std::memcpy(into->pixels.data() + index * kCifarPixelBytes, buffer.data() + at + label_bytes, kCifarPixelBytes);
    }
    if (const size_t rest = bytes % record_bytes; rest != 0)
      throw DataError(file + ": record " + std::to_string(record) + " is cut off: it has " + std::to_string(rest) +
                      " bytes, expected " + std::to_string(record_bytes) + get_again(layout));
    if (bytes < buffer.size()) break;
  }
  if (record != expected)
    throw DataError(file + ": it has " + std::to_string(record) + " records, expected " + std::to_string(expected) +
                    get_again(layout));
}

/// Whether what lies there is too small to hold all records, other than by having been compressed unusually well. Then
/// it is checked before memory is taken for them.
bool is_suspicious(const CifarLayout& layout, uintmax_t bytes) {
  constexpr uintmax_t kFree = 32'000'000;
  const auto files = static_cast<int64_t>(layout.train_files.size());
  const auto records = static_cast<uintmax_t>(layout.train_records * files + layout.test_records);
  return records * kCifarPixelBytes > kFree + bytes + bytes / 2;
}

void make_room(const CifarLayout& layout, CifarSet& set) {
  const auto train = static_cast<size_t>(layout.train_records) * layout.train_files.size();
  const auto test = static_cast<size_t>(layout.test_records);
  set.train.pixels.resize(train * kCifarPixelBytes);
  set.train.labels.resize(train);
  set.test.pixels.resize(test * kCifarPixelBytes);
  set.test.labels.resize(test);
}

/// Reads the record file `name` to its place in the set, or only checks it (null); false when the layout has no such
/// file.
bool read_record_file(const CifarLayout& layout, const std::string& name, const ByteSource& source,
                      const std::string& file, CifarSet* set) {
  if (name == layout.test_file) {
    read_records(layout, source, file, layout.test_records, set ? &set->test : nullptr, 0);
    return true;
  }
  const auto found = std::find(layout.train_files.begin(), layout.train_files.end(), name);
  if (found == layout.train_files.end()) return false;
  // The archive holds its files in no particular order; their place is that of their name.
  read_records(layout, source, file, layout.train_records, set ? &set->train : nullptr,
               (found - layout.train_files.begin()) * layout.train_records);
  return true;
}

std::vector<std::string> parse_class_names(const CifarLayout& layout, const std::string& text,
                                           const std::string& file) {
  std::vector<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (static_cast<int64_t>(names.size()) != layout.classes())
    throw DataError(file + ": it has " + std::to_string(names.size()) + " class names, expected " +
                    std::to_string(layout.classes()) + get_again(layout));
  return names;
}

std::vector<std::string> numbered_names(int64_t classes) {
  std::vector<std::string> names;
  for (int64_t c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  return names;
}

/// What an archive of something else most likely is, from the name of one of its files; "" if unknown.
std::string other_dataset(const CifarLayout& layout, const fs::path& entry) {
  const std::string name = entry.filename().string(), whole = entry.string();
  if (whole.find("-batches-py") != std::string::npos || whole.find("-python") != std::string::npos)
    return "the Python version";
  if (whole.find("-batches-mat") != std::string::npos || whole.find("-matlab") != std::string::npos)
    return "the Matlab version";
  for (const CifarLayout* other : {&cifar10_layout(), &cifar100_layout()})
    if (other->name != layout.name && (name == other->test_file || name == other->train_files.front() ||
                                       whole.find(other->folder) != std::string::npos))
      return other->name;
  return "";
}

void read_folder_files(const CifarLayout& layout, const std::vector<std::string>& files, const fs::path& folder,
                       CifarSet* set) {
  for (const std::string& name : files) {
    const fs::path path = folder / name;
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored))
      throw NotFoundError(path.string() + ": missing; " + layout.name + " has " + join(files, ", ") +
                          get_again(layout));
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
    if (!file) throw NotFoundError(path.string() + ": cannot be read: " + std::strerror(errno));
    const ByteSource source = [&](void* into, size_t bytes) {
      const size_t got = std::fread(into, 1, bytes, file.get());
      if (got < bytes && std::ferror(file.get()))
        throw IoError(path.string() + ": reading failed: " + std::strerror(errno));
      return got;
    };
    read_record_file(layout, name, source, path.string(), set);
  }
}

// Returns the names of the classes.
std::vector<std::string> read_archive_files(const CifarLayout& layout, const fs::path& path, CifarSet* set) {
  const std::unique_ptr<archive, int (*)(archive*)> input(archive_read_new(), archive_read_free);
  support_usual_filters(input.get());
  archive_read_support_format_tar(input.get());
  const auto damaged = [&](const std::string& what) {
    const char* reason = archive_error_string(input.get());
    return DataError(path.string() + ": " + what + (reason ? std::string(" (") + reason + ")" : "") +
                     get_again(layout));
  };
  if (archive_read_open_filename(input.get(), path.c_str(), 1 << 18) != ARCHIVE_OK)
    throw damaged("not a readable .tar.gz archive");

  std::vector<std::string> class_names;
  std::set<std::string> missing(layout.train_files.begin(), layout.train_files.end());
  missing.insert(layout.test_file);
  std::vector<std::string> seen;
  for (;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(input.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) throw damaged("damaged or cut off, or not a .tar.gz archive");
    const char* raw_name = archive_entry_pathname(entry);
    const fs::path inside = raw_name ? raw_name : "";
    const std::string name = inside.filename().string(), file = path.string() + ": " + shortened(inside.string());
    if (const std::string other = other_dataset(layout, inside); !other.empty())
      throw DataError(path.string() + ": this is the archive of " + other + " (it holds " + shortened(inside.string()) +
                      "), expected the binary version of " + layout.name + " (" + layout.archive + ")" +
                      get_again(layout));
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    if (seen.size() < 5) seen.push_back(shortened(inside.string()));

    const ByteSource source = [&](void* into, size_t bytes) {
      size_t have = 0;
      while (have < bytes) {
        const la_ssize_t got = archive_read_data(input.get(), static_cast<char*>(into) + have, bytes - have);
        if (got == ARCHIVE_RETRY || got == ARCHIVE_WARN) continue;
        if (got < 0) throw damaged(shortened(inside.string()) + " is damaged or cut off");
        if (got == 0) break;
        have += static_cast<size_t>(got);
      }
      return have;
    };
    if (name == layout.class_names_file) {
      std::string text(1 << 16, '\0');  // the real ones have less than 1 kB
      text.resize(source(text.data(), text.size()));
      class_names = parse_class_names(layout, text, file);
    } else if (missing.contains(name)) {
      read_record_file(layout, name, source, file, set);
      missing.erase(name);
    }
  }
  if (!missing.empty())
    throw DataError(path.string() + ": it holds no " + join({missing.begin(), missing.end()}, ", ") +
                    (seen.empty() ? "; it is empty" : "; it begins with " + join(seen, ", ")) +
                    "; expected the binary version of " + layout.name + " (" + layout.archive + ")" +
                    get_again(layout));
  return class_names.empty() ? numbered_names(layout.classes()) : class_names;
}

}  // namespace

const CifarLayout& cifar10_layout() {
  static const CifarLayout layout{
      "cifar-10",
      "cifar-10-batches-bin",
      "cifar-10-binary.tar.gz",
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      10000,
      "test_batch.bin",
      10000,
      {10},
      "batches.meta.txt"};
  return layout;
}

const CifarLayout& cifar100_layout() {
  static const CifarLayout layout{
      "cifar-100", "cifar-100-binary", "cifar-100-binary.tar.gz", {"train.bin"}, 50000, "test.bin",
      10000,       {20, 100},          "fine_label_names.txt"};
  return layout;
}

bool has_cifar_files(const CifarLayout& layout, const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_regular_file(folder / layout.test_file, ignored)) return true;
  return std::any_of(layout.train_files.begin(), layout.train_files.end(),
                     [&](const std::string& file) { return fs::is_regular_file(folder / file, ignored); });
}

CifarSet read_cifar_folder(const CifarLayout& layout, const fs::path& folder) {
  std::vector<std::string> files = layout.train_files;
  files.push_back(layout.test_file);
  uintmax_t bytes = 0;
  for (const std::string& name : files)
    if (std::error_code none; fs::is_regular_file(folder / name, none)) bytes += fs::file_size(folder / name, none);
  if (is_suspicious(layout, bytes)) read_folder_files(layout, files, folder, nullptr);
  CifarSet set;
  make_room(layout, set);
  read_folder_files(layout, files, folder, &set);
  const fs::path names = folder / layout.class_names_file;
  set.class_names = fs::exists(names) ? parse_class_names(layout, read_file(names), names.string())
                                      : numbered_names(layout.classes());
  return set;
}

CifarSet read_cifar_archive(const CifarLayout& layout, const fs::path& path) {
  if (std::error_code error; !fs::is_regular_file(path, error))
    throw NotFoundError(path.string() + ": not a file; expected the archive " + layout.archive);
  std::error_code no_size;
  if (is_suspicious(layout, fs::file_size(path, no_size))) read_archive_files(layout, path, nullptr);
  CifarSet set;
  make_room(layout, set);
  set.class_names = read_archive_files(layout, path, &set);
  return set;
}

}  // namespace mfi
