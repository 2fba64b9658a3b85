// The official binary files of CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of
// features from tiny images", 2009; www.cs.toronto.edu/~kriz/cifar.html). No LibTorch here.
//
// A file is a row of records without a header. CIFAR-10: 1 byte label, 3072 bytes of pixels.
// CIFAR-100: 1 byte coarse label, 1 byte fine label, 3072 bytes of pixels. The pixels are 1024 red,
// 1024 green, 1024 blue values, each plane row by row, 32 a row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mfi {

constexpr int64_t kCifarSide = 32;
constexpr int64_t kCifarPixelBytes = 3 * kCifarSide * kCifarSide;

/// Where a dataset's records lie and what they look like.
struct CifarLayout {
  std::string name;     // "cifar-10"
  std::string folder;   // the folder inside the archive
  std::string archive;  // the official archive's file name
  std::vector<std::string> train_files;
  int64_t train_records = 0;  // in each of them
  std::string test_file;
  int64_t test_records = 0;
  std::vector<int64_t> label_classes;  // classes of each label byte; the last one is the label used
  std::string class_names_file;        // one name a line

  int64_t classes() const { return label_classes.back(); }
  int64_t record_bytes() const { return static_cast<int64_t>(label_classes.size()) + kCifarPixelBytes; }
};

const CifarLayout& cifar10_layout();
const CifarLayout& cifar100_layout();

/// Images and labels, in file order.
struct CifarRecords {
  std::vector<uint8_t> pixels;  // [N, 3, 32, 32]
  std::vector<uint8_t> labels;  // [N], the fine labels of CIFAR-100
};

struct CifarSet {
  CifarRecords train, test;
  std::vector<std::string> class_names;  // numbers when the names file is missing
};

/// Whether the folder holds at least one of the layout's record files.
bool has_cifar_files(const CifarLayout& layout, const std::filesystem::path& folder);

/// Reads an unpacked folder. Throws NotFoundError for a missing file; DataError naming file and
/// record when a file is cut, too long, or holds a label out of range.
CifarSet read_cifar_folder(const CifarLayout& layout, const std::filesystem::path& folder);

/// Reads an archive (.tar.gz, or any other that libarchive knows) in one pass, unpacking nothing.
/// Throws as above, and DataError when it is damaged, the Python version, or another dataset.
CifarSet read_cifar_archive(const CifarLayout& layout, const std::filesystem::path& archive);

}  // namespace mfi
