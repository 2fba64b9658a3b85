#include "mfi/data/dataset.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/sources.h"
#include "mfi/data/splits.h"

namespace mfi {

namespace {

// Over the training images; the values that everybody uses for these datasets.
constexpr Normalisation kCifar10{{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
constexpr Normalisation kCifar100{{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}};

void check(const DataSettings& settings) {
  const std::vector<std::string> names{"cifar-10", "cifar-100", "sample", "pictures"};
  if (std::find(names.begin(), names.end(), settings.dataset) == names.end()) {
    const std::string near = nearest_name(settings.dataset, names);
    throw RecipeError("data.dataset is \"" + settings.dataset + "\", expected one of " + join(names, ", ") +
                      (near.empty() ? "" : "; did you mean " + near + "?"));
  }
  // Written so that NaN is refused too.
  if (!(settings.validation >= 0 && settings.validation <= 0.5))
    throw RecipeError(format("data.validation is %g, expected 0 to 0.5", settings.validation));
  if (settings.limit < 0)
    throw RecipeError("data.limit is " + std::to_string(settings.limit) + ", expected 0 (all) or more");
  if (settings.image_size < 0 || !(settings.crop > 0 && settings.crop <= 1) ||
      !(settings.test > 0 && settings.test < 1))
    throw RecipeError(format(
        "data.image_size is %lld, data.crop %g, data.test %g; expected at least 0, above 0 to 1, between 0 and 1",
        static_cast<long long>(settings.image_size), settings.crop, settings.test));
}

}  // namespace

DataSplits open_data(const DataSettings& settings, const std::filesystem::path& folder) {
  check(settings);
  DataSplits splits;
  LabelledSets sets;
  if (settings.dataset == "sample") {
    sets = read_sample(folder);
    // Over all training images, whatever is limited or held out below: a property of the dataset.
    splits.normalisation = measure_normalisation(sets.train);
  } else if (settings.dataset == "pictures") {
    sets = read_pictures(folder, settings);
    splits.normalisation = measure_normalisation(sets.train);
  } else {
    const bool ten = settings.dataset == "cifar-10";
    sets = read_cifar(ten ? cifar10_layout() : cifar100_layout(), folder);
    splits.normalisation = ten ? kCifar10 : kCifar100;
  }

  if (settings.limit > 0) {
    sets.train = pick(sets.train, first_of_each_class(sets.train, settings.limit));
    sets.test = pick(sets.test, first_of_each_class(sets.test, settings.limit));
  }
  splits.name = settings.dataset;
  splits.source = sets.source;
  splits.fingerprint = fingerprint(sets.train, sets.test);
  if (sets.validation.size() > 0) {
    splits.train = std::move(sets.train);
    splits.validation = std::move(sets.validation);
  } else if (settings.validation > 0) {
    const HeldOut parts = hold_out(sets.train, settings.validation, settings.seed);
    splits.train = pick(sets.train, parts.train);
    splits.validation = pick(sets.train, parts.validation);
  } else {
    splits.train = std::move(sets.train);
  }
  splits.test = std::move(sets.test);
  return splits;
}

DataShape data_shape(const DataSettings& settings, const std::filesystem::path& folder) {
  check(settings);
  DataShape shape;
  if (settings.dataset == "pictures") return pictures_shape(folder, settings);
  if (settings.dataset == "cifar-100") shape.classes = 100;
  int64_t images = settings.dataset == "sample" ? 5000 : 50000;
  if (settings.limit > 0) images = std::min(images, settings.limit);
  shape.training_images =
      images - static_cast<int64_t>(std::llround(static_cast<double>(images) * settings.validation));
  return shape;
}

Normalisation measure_normalisation(const Dataset& data) {
  const int64_t plane = data.images.size(2) * data.images.size(3);
  const uint8_t* next = data.images.const_data_ptr<uint8_t>();
  // Whole numbers: exact, and independent of the order.
  std::array<uint64_t, 3> sum{}, squares{};
  for (int64_t i = 0; i < data.size(); ++i)
    for (size_t c = 0; c < 3; ++c)
      for (int64_t p = 0; p < plane; ++p, ++next) {
        sum[c] += *next;
        squares[c] += uint64_t{*next} * *next;
      }
  Normalisation result;
  const double count = static_cast<double>(data.size() * plane);
  if (count == 0) return result;
  for (size_t c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(sum[c]) / count;
    const double variance = std::max(0.0, static_cast<double>(squares[c]) / count - mean * mean);
    result.mean[c] = static_cast<float>(mean / 255);
    // At least one grey level: images of one colour would divide by zero.
    result.stddev[c] = static_cast<float>(std::max(1.0, std::sqrt(variance)) / 255);
  }
  return result;
}

}  // namespace mfi
