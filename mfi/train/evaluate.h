// Accuracy of a classifier on a dataset.
#pragma once

#include "mfi/core/torch.h"

#include <functional>

#include "mfi/data/loader.h"
#include "mfi/distributed/processes.h"
#include "mfi/nn/network.h"

namespace mfi {

struct Accuracy {
  double top1_percent = 0;
  double loss = 0;  // mean cross-entropy, nats
  int64_t images = 0;
};

/// Batches of a whole dataset in order, without augmentation; with several processes, this one's share of them.
Loader evaluation_loader(const Dataset& data, const Normalisation& normalisation, torch::Dtype dtype,
                         const Processes* processes, int64_t batch_size = 250);

/// Folds a copy of `network` and runs it over the dataset. dtype: that of the activations and of the
/// products; bfloat16 moves an accuracy by a few hundredths of a point.
/// processes: where not null, all of them call this together, each looks at its share of every batch, and all
/// get the same answer.
/// Throws DataError when the dataset has another number of classes than the network.
Accuracy evaluate_classifier(const Network& network, const Dataset& data, const Normalisation& normalisation,
                             torch::Dtype dtype, Processes* processes = nullptr);

}  // namespace mfi
