#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "mfi/core/all_cores.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/picture_list.h"
#include "mfi/data/sources.h"
#include "mfi/formats/file_tree.h"
#include "mfi/formats/picture.h"
#include "mfi/formats/resize.h"

namespace mfi {
namespace {

constexpr int64_t kLargestSmall = 64, kUsualSize = 224;
constexpr size_t kLooks = 200;
constexpr size_t kNamedProblems = 5;

// What is wrong with files, from any thread.
class Problems {
 public:
  void add(const std::string& message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(message);
  }
  void throw_if_any() {
    if (messages_.empty()) return;
    std::sort(messages_.begin(), messages_.end());  // the threads' order is chance
    const size_t count = messages_.size();
    messages_.resize(std::min(count, kNamedProblems));
    auto text = join(messages_, "; ");
    if (count > kNamedProblems) text += format("; and %zu more", count - kNamedProblems);
    throw DataError(text + " ('mfi inspect' names all that are broken)");
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> messages_;
};

class PictureReader {
 public:
  PictureReader(const FileTree& tree, const std::string& place, const DataSettings& settings)
      : tree_(tree), place_(place), settings_(settings), filter_(resize_filter(settings.resize)) {}

  // The size that all pictures are brought to. A few are looked at, all over the list.
  int64_t choose_size(const std::vector<LabelledPicture>& pictures) const {
    if (settings_.image_size > 0) return settings_.image_size;
    int64_t common = 0;
    const size_t looks = std::min(kLooks, pictures.size());
    for (size_t i = 0; i < looks; ++i) {
      const auto file = pictures[pictures.size() * i / looks].file;
      try {
        const auto info = picture_info(tree_.read(file), "");
        if (info.width != info.height || info.width > kLargestSmall || (common != 0 && common != info.width))
          return kUsualSize;
        common = info.width;
      } catch (const DataError&) {
        continue;  // named when it is decoded
      }
    }
    return common == 0 ? kUsualSize : common;
  }

  void require_memory(size_t pictures, int64_t size) const {
    const double needed = static_cast<double>(pictures) * 3 * static_cast<double>(size * size);
    const double there = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
    if (needed > 0.8 * there)
      throw DataError(
          format("%s: %zu pictures of %lld x %lld pixels need %s of memory, of which there is %s; a smaller "
                 "data.image_size, or data.limit, needs less",
                 place_.c_str(), pictures, static_cast<long long>(size), static_cast<long long>(size),
                 bytes_text(needed).c_str(), bytes_text(there).c_str()));
  }

  Dataset read(const std::vector<LabelledPicture>& pictures, int64_t size, const std::vector<std::string>& class_names,
               Problems& problems) const {
    Dataset data;
    data.class_names = class_names;
    const auto count = static_cast<int64_t>(pictures.size());
    data.images = torch::empty({count, 3, size, size}, torch::kUInt8);
    data.labels = torch::empty({count}, torch::kInt64);
    auto* const images = data.images.mutable_data_ptr<uint8_t>();
    auto* const labels = data.labels.mutable_data_ptr<int64_t>();
    on_all_cores(pictures.size(), [&](size_t i) {
      throw_if_stopped();
      labels[i] = pictures[i].label;
      try {
        write_planes(one(pictures[i].file, size), images + static_cast<int64_t>(i) * 3 * size * size);
      } catch (const DataError& error) {
        problems.add(error.what());
      }
    });
    return data;
  }

 private:
  RgbImage one(size_t file, int64_t size) const {
    return fitted(decode_picture(tree_.read(file), place_ + "/" + tree_.names()[file]), size, settings_.crop, filter_);
  }

  const FileTree& tree_;
  const std::string& place_;
  const DataSettings& settings_;
  ResizeFilter filter_;
};

// The first ones of each class, before any is decoded.
void limit_to(std::vector<LabelledPicture>& pictures, int64_t limit, size_t classes) {
  if (limit <= 0 || static_cast<int64_t>(pictures.size()) <= limit) return;
  std::vector<std::vector<LabelledPicture>> by_class(classes);
  for (const auto& picture : pictures) by_class[static_cast<size_t>(picture.label)].push_back(picture);
  pictures.clear();
  for (size_t round = 0; static_cast<int64_t>(pictures.size()) < limit; ++round)
    for (const auto& mine : by_class)
      if (round < mine.size() && static_cast<int64_t>(pictures.size()) < limit) pictures.push_back(mine[round]);
  std::sort(pictures.begin(), pictures.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
}

PictureList limited_list(const FileTree& tree, const std::string& name, const DataSettings& settings) {
  auto list = list_pictures(tree, name, settings.test, settings.seed);
  for (auto* part : {&list.train, &list.validation, &list.test})
    limit_to(*part, settings.limit, list.class_names.size());
  return list;
}

}  // namespace

DataShape pictures_shape(const std::filesystem::path& place, const DataSettings& settings) {
  const auto tree = open_file_tree(place);
  const std::string name = place.string();
  const auto list = limited_list(*tree, name, settings);
  DataShape shape;
  shape.classes = static_cast<int64_t>(list.class_names.size());
  shape.image_size = PictureReader(*tree, name, settings).choose_size(list.train);
  const auto images = static_cast<double>(list.train.size());
  const double held_out = list.validation.empty() ? std::round(images * settings.validation) : 0;
  shape.training_images = static_cast<int64_t>(images - held_out);
  return shape;
}

LabelledSets read_pictures(const std::filesystem::path& place, const DataSettings& settings) {
  const auto tree = open_file_tree(place);
  const std::string name = place.string();
  const auto list = limited_list(*tree, name, settings);
  const PictureReader reader(*tree, name, settings);
  const int64_t size = reader.choose_size(list.train);
  reader.require_memory(list.train.size() + list.validation.size() + list.test.size(), size);
  Problems problems;
  LabelledSets sets;
  sets.source = name;
  sets.train = reader.read(list.train, size, list.class_names, problems);
  sets.validation = reader.read(list.validation, size, list.class_names, problems);
  sets.test = reader.read(list.test, size, list.class_names, problems);
  problems.throw_if_any();
  return sets;
}

}  // namespace mfi
