// A network as inference wants it: batch norms and time embeddings folded into biases.
#pragma once

#include <memory>

#include "mfi/nn/network.h"

namespace mfi {

/// The same function as `network` in eval mode, as one plain network with arch().folded set.
///
/// Folding rescales the weights, so a float32 logit may move by rounding: by less than 1e-4 of the
/// largest logit. The source stays as it is. Folding a folded network gives a copy.
std::shared_ptr<Network> fold(const Network& network);

}  // namespace mfi
