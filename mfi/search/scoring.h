// How much worse the teacher becomes with candidates in its stages' places.
#pragma once

#include <functional>
#include <vector>

#include "mfi/data/dataset.h"
#include "mfi/search/candidates.h"

namespace mfi {

/// Mean divergences over images, KL(softmax(teacher's logits) || softmax(logits)), in nats. A batch with an answer that
/// is not finite counts as 1000 nats for each of its images.
struct Divergences {
  std::vector<std::vector<double>> single;  // [stage][candidate]: that one alone in the teacher; 0 for its own
  std::vector<std::vector<std::vector<double>>> pair;  // [stage][candidate][candidate of the next stage]: both
};

/// Told how many of how many combinations are done.
using ScoringProgress = std::function<void(int64_t done, int64_t all)>;

/// Runs all single candidates, and all pairs in neighbouring stages, on the images of `data`, of which it looks at no
/// label. The teacher's features are computed once, a pair shares its first stage's output with all other pairs of it.
/// In eval mode. dtype: of the activations. Throws the Error of a stop signal.
Divergences score(const Network& teacher, const CandidateSet& candidates, const Dataset& data,
                  const Normalisation& normalisation, torch::Dtype dtype, const ScoringProgress& progress = {});

/// The same mean divergence of a whole network from its answers and the teacher's, both [N, classes], float32, as
/// classifier_logits gives them. An image without a finite answer counts as 1000 nats.
double mean_divergence(const torch::Tensor& teacher_logits, const torch::Tensor& logits);

}  // namespace mfi
