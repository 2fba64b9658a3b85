#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <mutex>

#include "mfi/core/all_cores.h"
#include "mfi/core/error.h"
#include "mfi/core/sha256.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/picture_list.h"
#include "mfi/data/picture_store.h"
#include "mfi/data/pictures.h"
#include "mfi/data/sources.h"
#include "mfi/data/splits.h"
#include "mfi/formats/file_tree.h"
#include "mfi/formats/picture.h"
#include "mfi/formats/resize.h"

namespace mfi {
namespace {

constexpr int64_t kLargestSmall = 64, kUsualSize = 224;
constexpr size_t kLooks = 200;
constexpr size_t kNamedProblems = 5;
constexpr int64_t kMeasured = 5000;  // pictures that the normalisation is measured on

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

// Tells of pictures decoded, from any thread.
class Counter {
 public:
  Counter(const DataProgress& progress, int64_t all) : progress_(progress), all_(all) {}
  void count_one() {
    const std::lock_guard lock(mutex_);
    ++done_;
    const auto now = std::chrono::steady_clock::now();
    if (!progress_ || now - told_ < std::chrono::seconds(1)) return;
    told_ = now;
    progress_(done_, all_);
  }

 private:
  const DataProgress& progress_;
  std::mutex mutex_;
  int64_t done_ = 0, all_;
  std::chrono::steady_clock::time_point told_ = std::chrono::steady_clock::now();
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

Dataset labels_of(const std::vector<LabelledPicture>& list, const std::vector<std::string>& class_names) {
  Dataset data;
  data.class_names = class_names;
  data.labels = torch::empty({static_cast<int64_t>(list.size())}, torch::kInt64);
  auto* next = data.labels.mutable_data_ptr<int64_t>();
  for (const auto& picture : list) *next++ = picture.label;
  return data;
}

std::vector<LabelledPicture> picked(const std::vector<LabelledPicture>& list, const torch::Tensor& indices) {
  std::vector<LabelledPicture> out;
  for (int64_t i = 0; i < indices.size(0); ++i) out.push_back(list[static_cast<size_t>(indices[i].item<int64_t>())]);
  return out;
}

// Where stores of decoded pictures lie; the XDG base directory specification says so.
std::filesystem::path cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache) return std::filesystem::path(cache) / "mfi/pictures";
  const char* home = std::getenv("HOME");
  if (home && *home) return std::filesystem::path(home) / ".cache/mfi/pictures";
  throw CannotWriteError("data.cache = \"disk\": neither XDG_CACHE_HOME nor HOME says where; set one of them");
}

// The pictures of one place, listed, and what is done with them.
class Source {
 public:
  Source(const std::filesystem::path& place, const DataSettings& settings, bool with_labels = true)
      : tree_(open_file_tree(place)), name_(place.string()), settings_(settings) {
    list_ = with_labels ? list_pictures(*tree_, name_, settings.test, settings.seed, settings.to_train_on)
                        : list_unlabelled(*tree_, name_);
    for (auto* part : {&list_.train, &list_.validation, &list_.test})
      limit_to(*part, settings.limit, list_.class_names.size());
    view_.side = choose_size();
    view_.filter = resize_filter(settings.resize);
    view_.crop = settings.crop;
    view_.random_parts =
        settings.augment == "resized-crop" || (settings.augment == "auto" && view_.side > kLargestSmall);
    view_.least_area = settings.least_area;
  }

  const PictureList& list() const { return list_; }
  int64_t side() const { return view_.side; }

  /// Asks for so much more memory: `pictures` others of the same size, and all of it `times`.
  void need_room_for(int64_t pictures, double times) {
    others_ = pictures;
    times_ = times;
  }

  DataSplits identify() const {
    DataSplits splits;
    splits.fingerprint = fingerprint();
    splits.train = labels_of(list_.train, list_.class_names);
    return splits;
  }

  DataSplits open(const DataProgress& progress) {
    DataSplits splits;
    if (settings_.cache == "memory") require_memory();
    splits.name = settings_.dataset;
    splits.source = name_;
    splits.passed_over = list_.passed_over;
    splits.fingerprint = fingerprint();
    splits.normalisation = settings_.normalisation ? *settings_.normalisation : measured_normalisation();
    if (list_.validation.empty() && settings_.validation > 0) {
      const auto parts = hold_out(labels_of(list_.train, list_.class_names), settings_.validation, settings_.seed);
      list_.validation = picked(list_.train, parts.validation);
      list_.train = picked(list_.train, parts.train);
    }
    const std::vector<std::pair<Dataset*, const std::vector<LabelledPicture>*>> parts{
        {&splits.train, &list_.train}, {&splits.validation, &list_.validation}, {&splits.test, &list_.test}};
    for (const auto& [data, list] : parts) *data = labels_of(*list, list_.class_names);
    if (settings_.cache == "none") {
      for (const auto& [data, list] : parts) data->pictures = files(*list);
    } else if (settings_.cache == "disk") {
      keep_on_disk(splits, progress);
    } else {
      keep_in_memory(splits, progress);
    }
    return splits;
  }

 private:
  // The size that all pictures are brought to. A few are looked at, all over the list.
  int64_t choose_size() const {
    if (settings_.image_size > 0) return settings_.image_size;
    const auto& pictures = list_.train.empty() ? list_.test : list_.train;
    int64_t common = 0;
    const size_t looks = std::min(kLooks, pictures.size());
    for (size_t i = 0; i < looks; ++i) {
      const auto file = pictures[pictures.size() * i / looks].file;
      try {
        const auto info = picture_info(tree_->read(file), "");
        if (info.width != info.height || info.width > kLargestSmall || (common != 0 && common != info.width))
          return kUsualSize;
        common = info.width;
      } catch (const DataError&) {
        continue;  // named when it is decoded
      }
    }
    return common == 0 ? kUsualSize : common;
  }

  std::string fingerprint() const {
    Sha256 hash;
    const auto add = [&](const std::string& text) {
      const uint64_t size = text.size();  // so that no two lists of texts look alike
      hash.update(&size, sizeof size);
      hash.update(text.data(), text.size());
    };
    add(format("pictures: %lld pixels, %s, crop %.17g, %s, area %.17g", static_cast<long long>(view_.side),
               settings_.resize.c_str(), view_.crop, view_.random_parts ? "random parts" : "shifts",
               view_.random_parts ? view_.least_area : 1.0));
    for (const auto& name : list_.class_names) add(name);
    // Held out by the run's settings, or a part of its own: only the latter is the data's.
    for (const auto* part : {&list_.train, &list_.validation, &list_.test}) {
      std::vector<std::string> identities(part->size());
      on_all_cores(part->size(), [&](size_t i) {
        throw_if_stopped();
        identities[i] = sha256_text(tree_->identity((*part)[i].file));
      });
      add("part");
      for (size_t i = 0; i < part->size(); ++i) {
        add(tree_->names()[(*part)[i].file]);
        add(std::to_string((*part)[i].label));
        add(identities[i]);
      }
    }
    return hash.hex_digest();
  }

  Normalisation measured_normalisation() const {
    const auto pictures = files(list_.train);
    const int64_t count = pictures->size(), looks = std::min(kMeasured, count), pixels = view_.side * view_.side;
    PixelSums sums;
    Problems problems;
    std::mutex mutex;
    on_all_cores(static_cast<size_t>(looks), [&](size_t i) {
      throw_if_stopped();
      std::vector<uint8_t> planes(static_cast<size_t>(3 * pixels));
      PixelSums mine;
      try {
        pictures->write(static_cast<int64_t>(i) * count / looks, planes.data());
        mine.add(planes.data(), pixels);
      } catch (const Error& error) {
        problems.add(error.what());
      }
      const std::lock_guard lock(mutex);
      sums.add(mine);
    });
    problems.throw_if_any();
    return sums.normalisation();
  }

  std::shared_ptr<const Pictures> files(const std::vector<LabelledPicture>& list) const {
    return pictures_in_files(tree_, name_, list, view_);
  }

  // All pictures of a list as evaluation sees them.
  torch::Tensor squares(const std::vector<LabelledPicture>& list, Problems& problems, Counter& counter) const {
    const auto count = static_cast<int64_t>(list.size());
    auto images = torch::empty({count, 3, view_.side, view_.side}, torch::kUInt8);
    auto* const first = images.mutable_data_ptr<uint8_t>();
    const auto pictures = files(list);
    on_all_cores(list.size(), [&](size_t i) {
      throw_if_stopped();
      try {
        pictures->write(static_cast<int64_t>(i), first + static_cast<int64_t>(i) * images.stride(0));
      } catch (const Error& error) {
        problems.add(error.what());
      }
      counter.count_one();
    });
    return images;
  }

  // A picture to draw random parts of: all of it, with no more pixels than they need.
  RgbImage reduced(const RgbImage& image) const {
    const int64_t most = stored_side(), shorter = std::min(image.width, image.height);
    if (shorter <= most) return image;
    const auto scaled = [&](int64_t side) { return std::max<int64_t>(1, side * most / shorter); };
    return resized(image, {0, 0, image.width, image.height}, scaled(image.width), scaled(image.height), view_.filter);
  }

  int64_t stored_side() const { return view_.side * 8 / 7; }

  int64_t picture_count() const {
    return static_cast<int64_t>(list_.train.size() + list_.validation.size() + list_.test.size());
  }

  // One picture as it is kept. Where it is broken, that is noted, and the run will not begin.
  RgbImage kept(const Pictures& pictures, int64_t index, bool whole, Problems& problems, Counter& counter) const {
    RgbImage out;
    try {
      const auto image = pictures.whole(index);
      out = whole ? reduced(image) : fitted(image, view_.side, view_.crop, view_.filter);
    } catch (const Error& error) {
      problems.add(error.what());
    }
    counter.count_one();
    return out;
  }

  void require_memory() const {
    const auto bytes = [&](size_t pictures, int64_t side, double ratio) {
      return static_cast<double>(pictures) * 3 * ratio * static_cast<double>(side) * static_cast<double>(side);
    };
    // Photographs are 4 : 3.
    const double train = view_.random_parts ? bytes(list_.train.size(), stored_side(), 4.0 / 3)
                                            : bytes(list_.train.size(), view_.side, 1);
    const size_t beside = list_.validation.size() + list_.test.size() + static_cast<size_t>(others_);
    const double needed = times_ * (train + bytes(beside, view_.side, 1));
    const double there = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
    if (needed > 0.8 * there)
      throw DataError(
          format("%s: %lld pictures of %lld x %lld pixels need %s of memory, of which there is %s; data.cache = "
                 "\"disk\" or \"none\" keeps them elsewhere, a smaller data.image_size or data.limit needs less",
                 name_.c_str(), static_cast<long long>(picture_count()), static_cast<long long>(view_.side),
                 static_cast<long long>(view_.side), bytes_text(needed).c_str(), bytes_text(there).c_str()));
  }

  void keep_in_memory(DataSplits& splits, const DataProgress& progress) const {
    Problems problems;
    Counter counter(progress, picture_count());
    if (view_.random_parts) {
      const auto pictures = files(list_.train);
      const auto count = pictures->size();
      const auto store =
          store_in_memory(count, [&](int64_t i) { return kept(*pictures, i, /*whole=*/true, problems, counter); });
      splits.train.pictures = pictures_in_store(store, 0, count, view_);
    } else {
      splits.train.images = squares(list_.train, problems, counter);
    }
    splits.validation.images = squares(list_.validation, problems, counter);
    splits.test.images = squares(list_.test, problems, counter);
    problems.throw_if_any();
  }

  // One store for all parts, one after another.
  void keep_on_disk(DataSplits& splits, const DataProgress& progress) const {
    auto all = list_.train;
    all.insert(all.end(), list_.validation.begin(), list_.validation.end());
    all.insert(all.end(), list_.test.begin(), list_.test.end());
    const auto pictures = files(all);
    const auto train = static_cast<int64_t>(list_.train.size()),
               validation = static_cast<int64_t>(list_.validation.size());
    // What is held out changes the order.
    const auto key = sha256_text(format("%s %lld %lld %.17g %llu", splits.fingerprint.c_str(),
                                        static_cast<long long>(train), static_cast<long long>(validation),
                                        settings_.validation, static_cast<unsigned long long>(settings_.seed)));
    Problems problems;
    Counter counter(progress, picture_count());
    const auto store = store_in_file(
        cache_folder() / (key.substr(0, 32) + ".pictures"), picture_count(),
        [&](int64_t i) { return kept(*pictures, i, view_.random_parts && i < train, problems, counter); },
        [&] { problems.throw_if_any(); });
    splits.train.pictures = pictures_in_store(store, 0, train, view_);
    splits.validation.pictures = pictures_in_store(store, train, validation, view_);
    splits.test.pictures = pictures_in_store(store, train + validation, picture_count() - train - validation, view_);
  }

  std::shared_ptr<const FileTree> tree_;
  std::string name_;
  const DataSettings& settings_;
  PictureList list_;
  PictureView view_;
  int64_t others_ = 0;
  double times_ = 1;
};

}  // namespace

DataShape pictures_shape(const std::filesystem::path& place, const DataSettings& settings) {
  const Source source(place, settings);
  const auto& list = source.list();
  DataShape shape;
  shape.classes = static_cast<int64_t>(list.class_names.size());
  shape.image_size = source.side();
  const auto own = static_cast<int64_t>(list.validation.size()), images = static_cast<int64_t>(list.train.size());
  const int64_t held_out = own > 0 ? 0 : std::llround(static_cast<double>(images) * settings.validation);
  shape.training_images = images - held_out;
  shape.validation_images = own + held_out;
  return shape;
}

DataSplits open_unlabelled_pictures(const std::filesystem::path& place, DataSettings settings, const Dataset& beside,
                                    const DataProgress& progress) {
  settings.validation = 0;
  settings.limit = 0;
  Source source(place, settings, /*with_labels=*/false);
  // Both, and for a moment both again, joined.
  if (!beside.pictures) source.need_room_for(beside.size(), 2);
  return source.open(progress);
}

DataSplits identify_unlabelled_pictures(const std::filesystem::path& place, DataSettings settings) {
  settings.limit = 0;
  return Source(place, settings, /*with_labels=*/false).identify();
}

int64_t count_unlabelled_pictures(const std::filesystem::path& place) {
  return static_cast<int64_t>(list_unlabelled(*open_file_tree(place), place.string()).train.size());
}

DataSplits open_pictures(const std::filesystem::path& place, const DataSettings& settings,
                         const DataProgress& progress) {
  return Source(place, settings).open(progress);
}

}  // namespace mfi
