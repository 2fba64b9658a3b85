#include "mfi/data/dataset.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/all_cores.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/pictures.h"
#include "mfi/data/sources.h"
#include "mfi/data/splits.h"

namespace mfi {

namespace {

// Over the training images; the values that everybody uses for these datasets.
constexpr Normalisation kCifar10{{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
constexpr Normalisation kCifar100{{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}};

void require_one_of(const std::string& key, const std::string& value, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), value) != names.end()) return;
  const std::string near = nearest_name(value, names);
  throw RecipeError(key + " is \"" + value + "\", expected one of " + join(names, ", ") +
                    (near.empty() ? "" : "; did you mean " + near + "?"));
}

void check(const DataSettings& settings) {
  require_one_of("data.dataset", settings.dataset, {"cifar-10", "cifar-100", "sample", "pictures"});
  // Written so that NaN is refused too.
  if (!(settings.validation >= 0 && settings.validation <= 0.5))
    throw RecipeError(format("data.validation is %g, expected 0 to 0.5", settings.validation));
  if (!(settings.labelled > 0 && settings.labelled <= 1))
    throw RecipeError(format("data.labelled is %g, expected above 0 to 1", settings.labelled));
  if (settings.limit < 0)
    throw RecipeError("data.limit is " + std::to_string(settings.limit) + ", expected 0 (all) or more");
  if (settings.image_size < 0 || !(settings.crop >= 0.01 && settings.crop <= 1) ||
      !(settings.test > 0 && settings.test <= 1))
    throw RecipeError(
        format("data.image_size is %lld, data.crop %g, data.test %g; expected at least 0, 0.01 to 1, above 0 to 1",
               static_cast<long long>(settings.image_size), settings.crop, settings.test));
  require_one_of("data.cache", settings.cache, {"memory", "disk", "none"});
  require_one_of("data.augment", settings.augment, {"auto", "shift", "resized-crop"});
  if (!(settings.least_area > 0 && settings.least_area <= 1))
    throw RecipeError(format("data.least_area is %g, expected above 0 to 1", settings.least_area));
}

}  // namespace

int64_t Dataset::height() const { return pictures ? pictures->view().side : images.size(2); }

int64_t Dataset::width() const { return pictures ? pictures->view().side : images.size(3); }

torch::Tensor Dataset::first_images(int64_t count) const {
  if (!pictures) return images.narrow(0, 0, count);
  auto bytes = torch::empty({count, 3, height(), width()}, torch::kUInt8);
  auto* const first = bytes.mutable_data_ptr<uint8_t>();
  on_all_cores(static_cast<size_t>(count), [&](size_t i) {
    pictures->write(static_cast<int64_t>(i), first + static_cast<int64_t>(i) * bytes.stride(0));
  });
  return bytes;
}

namespace {

DataSplits open_labelled(const DataSettings& settings, const std::filesystem::path& folder,
                         const DataProgress& progress) {
  if (settings.dataset == "pictures") return open_pictures(folder, settings, progress);
  DataSplits splits;
  LabelledSets sets;
  if (settings.dataset == "sample") {
    sets = read_sample(folder);
    // Over all training images, whatever is limited or held out below: a property of the dataset.
    splits.normalisation = measure_normalisation(sets.train);
  } else {
    const bool ten = settings.dataset == "cifar-10";
    sets = read_cifar(ten ? cifar10_layout() : cifar100_layout(), folder);
    splits.normalisation = ten ? kCifar10 : kCifar100;
  }
  if (settings.normalisation) splits.normalisation = *settings.normalisation;

  if (settings.limit > 0) {
    sets.train = pick(sets.train, first_of_each_class(sets.train, settings.limit));
    sets.test = pick(sets.test, first_of_each_class(sets.test, settings.limit));
  }
  splits.name = settings.dataset;
  splits.source = sets.source;
  splits.fingerprint = fingerprint(sets.train, sets.test);
  if (settings.validation > 0) {
    const HeldOut parts = hold_out(sets.train, settings.validation, settings.seed);
    splits.train = pick(sets.train, parts.train);
    splits.validation = pick(sets.train, parts.validation);
  } else {
    splits.train = std::move(sets.train);
  }
  splits.test = std::move(sets.test);
  return splits;
}

// Images in memory are seen shifted, whatever [data] says of pictures.
DataSettings as_training_images(DataSettings settings, const Dataset& train) {
  settings.image_size = train.height();
  if (settings.dataset == "pictures") return settings;
  settings.augment = "shift";
  settings.cache = "memory";
  return settings;
}

// Images that are in memory stay there once.
void join(DataSplits& splits, const Dataset& more) {
  splits.all = joined(splits.all, more);
  if (splits.all.pictures) return;
  const bool every_label = splits.labelled.images.is_same(splits.train.images);
  splits.train.images = splits.all.images.narrow(0, 0, splits.train.size());
  if (every_label) splits.labelled.images = splits.train.images;
}

}  // namespace

DataSplits open_data(const DataSettings& settings, const std::filesystem::path& folder, const DataProgress& progress) {
  check(settings);
  auto splits = open_labelled(settings, folder, progress);
  splits.labelled = splits.all = splits.train;
  if (settings.labelled < 1 && splits.train.size() > 0) {
    const auto parts = few_labels(splits.train, settings.labelled, settings.seed);
    splits.labelled = pick(splits.train, parts.labelled);
    splits.all.labels = parts.labels;
  }
  if (!settings.unlabelled.empty()) {
    auto more = settings;
    more.normalisation = splits.normalisation;
    more = as_training_images(more, splits.train);
    const auto pictures = settings.unlabelled_to_learn
                              ? open_unlabelled_pictures(settings.unlabelled, more, splits.train, progress)
                              : identify_unlabelled_pictures(settings.unlabelled, more);
    splits.unlabelled_pictures = pictures.train.size();
    splits.unlabelled_fingerprint = pictures.fingerprint;
    if (settings.unlabelled_to_learn) join(splits, pictures.train);
  }
  return splits;
}

namespace {

DataShape labelled_shape(const DataSettings& settings, const std::filesystem::path& folder) {
  DataShape shape;
  if (settings.dataset == "pictures") return pictures_shape(folder, settings);
  if (settings.dataset == "cifar-100") shape.classes = 100;
  int64_t images = settings.dataset == "sample" ? 5000 : 50000;
  if (settings.limit > 0) images = std::min(images, settings.limit);
  shape.validation_images = std::llround(static_cast<double>(images) * settings.validation);
  shape.training_images = images - shape.validation_images;
  return shape;
}

}  // namespace

DataShape data_shape(const DataSettings& settings, const std::filesystem::path& folder) {
  check(settings);
  auto shape = labelled_shape(settings, folder);
  if (!settings.unlabelled.empty()) shape.unlabelled_pictures = count_unlabelled_pictures(settings.unlabelled);
  return shape;
}

void PixelSums::add(const uint8_t* planes, int64_t pixels) {
  for (size_t c = 0; c < 3; ++c)
    for (int64_t p = 0; p < pixels; ++p, ++planes) {
      sum_[c] += *planes;
      squares_[c] += uint64_t{*planes} * *planes;
    }
  pixels_ += pixels;
}

void PixelSums::add(const PixelSums& other) {
  for (size_t c = 0; c < 3; ++c) {
    sum_[c] += other.sum_[c];
    squares_[c] += other.squares_[c];
  }
  pixels_ += other.pixels_;
}

Normalisation PixelSums::normalisation() const {
  Normalisation result;
  if (pixels_ == 0) return result;
  const auto count = static_cast<double>(pixels_);
  for (size_t c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(sum_[c]) / count;
    const double variance = std::max(0.0, static_cast<double>(squares_[c]) / count - mean * mean);
    result.mean[c] = static_cast<float>(mean / 255);
    result.stddev[c] = static_cast<float>(std::max(1.0, std::sqrt(variance)) / 255);
  }
  return result;
}

Normalisation measure_normalisation(const Dataset& data) {
  const int64_t pixels = data.height() * data.width();
  PixelSums sums;
  for (int64_t i = 0; i < data.size(); ++i) sums.add(data.images.const_data_ptr<uint8_t>() + i * 3 * pixels, pixels);
  return sums.normalisation();
}

}  // namespace mfi
