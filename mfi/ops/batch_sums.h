// Statistics of a batch that is spread over several processes.
#pragma once

#include "mfi/core/torch.h"

#include <vector>

namespace mfi {

/// Adds up numbers over all processes that hold a share of the same batch. Held by pointer counting, as
/// LibTorch holds what an operation keeps for its backward.
class BatchSums : public torch::CustomClassHolder {
 public:
  /// Replaces every value by its sum over the processes, in all of them by the same bits. All must call
  /// this equally often, in the same order, with equally many values.
  virtual void add_up(std::vector<double>& values) = 0;
};

using BatchSumsPtr = c10::intrusive_ptr<BatchSums>;

}  // namespace mfi
