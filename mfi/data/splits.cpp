#include "mfi/data/splits.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mfi/core/random.h"
#include "mfi/core/sha256.h"
#include "mfi/data/pictures.h"

namespace mfi {

namespace {

/// Sample indices class by class, ascending.
std::vector<std::vector<int64_t>> by_class(const Dataset& data) {
  std::vector<std::vector<int64_t>> members(data.class_names.size());
  const int64_t* labels = data.labels.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < data.size(); ++i) members[static_cast<size_t>(labels[i])].push_back(i);
  return members;
}

torch::Tensor to_tensor(std::vector<int64_t> indices) {
  std::sort(indices.begin(), indices.end());
  return torch::tensor(indices, torch::kInt64);
}

/// Chooses `count` samples, those with the smallest rank; ties go to the smaller class.
struct Ranked {
  double rank;
  int64_t index;
};
std::vector<int64_t> smallest(std::vector<Ranked> ranked, int64_t count) {
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; });
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(ranked[static_cast<size_t>(i)].index);
  return chosen;
}

}  // namespace

Dataset pick(const Dataset& data, const torch::Tensor& indices) {
  auto labels = data.labels.index_select(0, indices);
  if (!data.pictures) return {data.images.index_select(0, indices), labels, data.class_names};
  const auto* first = indices.const_data_ptr<int64_t>();
  return {{}, labels, data.class_names, picked_pictures(data.pictures, {first, first + indices.size(0)})};
}

torch::Tensor first_of_each_class(const Dataset& data, int64_t limit) {
  std::vector<Ranked> ranked;
  for (const auto& members : by_class(data))
    for (size_t i = 0; i < members.size(); ++i) ranked.push_back({static_cast<double>(i), members[i]});
  return to_tensor(smallest(std::move(ranked), std::min(limit, data.size())));
}

HeldOut hold_out(const Dataset& data, double share, uint64_t seed) {
  // Names this use of the seed; any number that no other use has.
  constexpr uint64_t kHoldOut = 0x686F6C64;
  std::vector<Ranked> ranked;
  const auto classes = by_class(data);
  for (size_t c = 0; c < classes.size(); ++c) {
    std::vector<int64_t> members = classes[c];
    RandomStream stream(seed, kHoldOut, c);
    for (size_t i = members.size(); i > 1; --i) std::swap(members[i - 1], members[stream.below(i)]);
    // Relative ranks, so that classes of different size give up the same share.
    for (size_t i = 0; i < members.size(); ++i)
      ranked.push_back({(static_cast<double>(i) + 0.5) / static_cast<double>(members.size()), members[i]});
  }
  const std::vector<int64_t> held = smallest(std::move(ranked), std::llround(share * static_cast<double>(data.size())));

  std::vector<bool> is_held(static_cast<size_t>(data.size()), false);
  for (const int64_t i : held) is_held[static_cast<size_t>(i)] = true;
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < data.size(); ++i)
    if (!is_held[static_cast<size_t>(i)]) kept.push_back(i);
  return {to_tensor(std::move(kept)), to_tensor(held)};
}

FewLabels few_labels(const Dataset& data, double share, uint64_t seed) {
  constexpr uint64_t kFewLabels = 0x6C61626C;  // as above, for other images than those held out
  const double least = 1 / static_cast<double>(data.size());
  FewLabels out;
  out.labelled = hold_out(data, std::max(share, least), seed ^ kFewLabels).validation;
  out.labels = torch::full_like(data.labels, kNoLabel);
  out.labels.index_copy_(0, out.labelled, data.labels.index_select(0, out.labelled));
  return out;
}

Dataset joined(const Dataset& first, const Dataset& second) {
  Dataset out;
  out.class_names = first.class_names;
  out.labels = torch::cat({first.labels, second.labels});
  if (first.pictures)
    out.pictures = joined_pictures(first.pictures, second.pictures);
  else
    out.images = torch::cat({first.images, second.images});
  return out;
}

std::string fingerprint(const Dataset& train, const Dataset& test) {
  Sha256 hash;
  for (const Dataset* data : {&train, &test}) {
    const auto sizes = data->images.sizes();
    hash.update(sizes.data(), sizes.size() * sizeof(int64_t));
    hash.update(data->images.const_data_ptr(), data->images.nbytes());
    hash.update(data->labels.const_data_ptr(), data->labels.nbytes());
  }
  return hash.hex_digest();
}

}  // namespace mfi
