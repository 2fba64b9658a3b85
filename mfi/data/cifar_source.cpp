#include <memory>
#include <utility>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/sources.h"

namespace mfi {

namespace fs = std::filesystem;

namespace {

/// Takes over the bytes, without a copy.
Dataset to_dataset(CifarRecords&& records, const std::vector<std::string>& class_names) {
  const auto count = static_cast<int64_t>(records.labels.size());
  auto owner = std::make_shared<CifarRecords>(std::move(records));
  Dataset data;
  data.images = torch::from_blob(
      owner->pixels.data(), {count, 3, kCifarSide, kCifarSide}, [owner](void*) {}, torch::kUInt8);
  data.labels = torch::empty({count}, torch::kInt64);
  std::copy(owner->labels.begin(), owner->labels.end(), data.labels.data_ptr<int64_t>());
  data.class_names = class_names;
  return data;
}

/// What lies there instead, when it is a usual mistake; "" otherwise.
std::string other_version_hint(const CifarLayout& layout, const fs::path& place) {
  const std::string python_folder = layout.name == "cifar-10" ? "cifar-10-batches-py" : "cifar-100-python";
  std::error_code ignored;
  for (const std::string& name : {python_folder, layout.name + "-python.tar.gz"})
    if (fs::exists(place / name, ignored))
      return "; it holds " + name + ", the Python version, but mfi reads the binary version";
  return "";
}

[[noreturn]] void throw_missing(const CifarLayout& layout, const fs::path& place) {
  const std::string get =
      "`mfi data get " + layout.name + " --into " + (place.empty() ? "DIR" : place.string()) + "` downloads it";
  if (place.empty())
    throw NotFoundError(layout.name + ": no data folder given: name one with --data DIR or in MFI_DATA; " + get);
  std::error_code ignored;
  if (!fs::exists(place, ignored))
    throw NotFoundError(place.string() + ": no such folder; expected one that holds " + layout.name + "; " + get);
  throw NotFoundError(place.string() + ": " + layout.name + " not found; looked there for " +
                      layout.train_files.front() + ", the folder " + layout.folder + " and the archive " +
                      layout.archive + other_version_hint(layout, place) + "; " + get);
}

}  // namespace

LabelledSets read_cifar(const CifarLayout& layout, const fs::path& place) {
  std::error_code ignored;
  fs::path source;
  bool archive = false;
  if (fs::is_regular_file(place, ignored)) {
    source = place;
    archive = true;
  } else if (has_cifar_files(layout, place)) {
    source = place;
  } else if (has_cifar_files(layout, place / layout.folder)) {
    source = place / layout.folder;
  } else if (fs::is_regular_file(place / layout.archive, ignored)) {
    source = place / layout.archive;
    archive = true;
  } else {
    throw_missing(layout, place);
  }
  CifarSet set = archive ? read_cifar_archive(layout, source) : read_cifar_folder(layout, source);
  LabelledSets sets;
  sets.source = source.string();
  sets.train = to_dataset(std::move(set.train), set.class_names);
  sets.test = to_dataset(std::move(set.test), set.class_names);
  return sets;
}

}  // namespace mfi
