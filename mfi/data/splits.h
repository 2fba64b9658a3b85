// Parts of a dataset that hold every class alike.
#pragma once

#include <cstdint>

#include "mfi/data/dataset.h"

namespace mfi {

/// The samples at `indices` (int64 [M], contiguous), in that order: images in memory are copied, pictures are not.
Dataset pick(const Dataset& data, const torch::Tensor& indices);

/// Indices, ascending, of at most `limit` samples with the classes as even as possible: the first ones
/// of each class.
torch::Tensor first_of_each_class(const Dataset& data, int64_t limit);

struct HeldOut {
  torch::Tensor train, validation;  // indices, ascending; together all samples
};

/// Holds out round(share * N) samples, from each class its share, drawn by seed. Only labels are looked at.
HeldOut hold_out(const Dataset& data, double share, uint64_t seed);

struct FewLabels {
  torch::Tensor labelled;  // indices, ascending, of those that keep their labels
  torch::Tensor labels;    // int64 [N], kNoLabel for the others
};

/// Lets round(share * N) samples, at least one, keep their labels: from each class its share, drawn by seed.
FewLabels few_labels(const Dataset& data, double share, uint64_t seed);

/// The samples of both, with the class names of the first: both have images in memory of one size, or both have
/// pictures.
Dataset joined(const Dataset& first, const Dataset& second);

/// Over shapes, pixels and labels: 64 hex digits (SHA-256). For images in memory.
std::string fingerprint(const Dataset& train, const Dataset& test);

}  // namespace mfi
