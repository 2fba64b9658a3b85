// First filters that know what images look like.
#pragma once

#include <cstdint>

#include "mfi/data/dataset.h"
#include "mfi/nn/network.h"

namespace mfi {

/// Gives the stem's convolution the directions in which the patches under it vary most, over up to 5,000 images all
/// over the dataset: eigenvectors of the patches' covariance, largest eigenvalue first, each with both signs, as a ReLU
/// follows (after Jordan 2024, arXiv:2404.00498, where they are scaled by 1 / sqrt(eigenvalue); here the stem's batch
/// norm does that). Filters have the norm that initialise() draws on average; where there are more filters than
/// directions, the others stay as they are. `images` are what the network is trained on. Nearly equal eigenvalues turn
/// with the rounding, so that several processes have to take the result of one. A stop signal ends it.
void whiten_stem(Network& network, const Dataset& images, const Normalisation& normalisation);

}  // namespace mfi
