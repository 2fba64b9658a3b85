// Accuracy of a classifier on a dataset.
#pragma once

#include "mfi/core/torch.h"

#include <functional>

#include "mfi/data/loader.h"
#include "mfi/distributed/processes.h"
#include "mfi/nn/network.h"
#include "mfi/train/answers.h"

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
/// answers: where not null, what was answered to each image; in every process.
/// Throws DataError when the dataset has another number of classes than the network.
Accuracy evaluate_classifier(const Network& network, const Dataset& data, const Normalisation& normalisation,
                             torch::Dtype dtype, Processes* processes = nullptr, Answers* answers = nullptr);

/// The logits [N, classes], float32, of a dataset's images in their order, by the folded network. Errors as above.
torch::Tensor classifier_logits(const Network& network, const Dataset& data, const Normalisation& normalisation,
                                torch::Dtype dtype);

/// The expected difference between confidence and accuracy, in points: images in fifteen equal ranges of the highest
/// probability, each range weighed by its images (Guo et al. 2017, arXiv:1706.04599).
double calibration_error_percent(const torch::Tensor& logits, const torch::Tensor& labels);

}  // namespace mfi
