// The gradients' sum over several processes, under way while the backward pass still runs.
#pragma once

#include "mfi/core/torch.h"

#include <vector>

#include "mfi/distributed/processes.h"

namespace mfi {

/// Adds up the gradients of parameters over all processes, in buckets.
///
/// Parameters are put into buckets from the last to the first, which is about the order in which a backward
/// pass gets to them. As soon as all gradients of a bucket and of those before it are there, its sum is
/// started and goes on beside the rest of the pass. Every process fills its buckets in its own time, but
/// starts them in the same order, by which they meet.
///
/// c10d::Reducer does the same, but only for ProcessGroup objects with Gloo registered in them and with its
/// own logging, timers and rebuilding of buckets; and it divides by the number of processes, where shares of
/// unequal size want weights.
class GradientExchange {
 public:
  /// A megabyte: up to there a sum by Gloo costs what the smallest does (2 ms between two busy cores, against 3.6
  /// for four megabytes and 12 for sixteen); larger buckets would only start later.
  static constexpr int64_t kBucketBytes = int64_t{1} << 20;

  /// parameters: float32, dense, the same in all processes; their gradients are watched from now on.
  GradientExchange(const std::vector<torch::Tensor>& parameters, Processes& processes,
                   int64_t bucket_bytes = kBucketBytes);
  ~GradientExchange();
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;

  /// Behind a backward pass: waits until every parameter's gradient is the sum over the processes. One that
  /// has no gradient keeps none; it must have none in any process. Gradients are valid until the next
  /// backward pass.
  void finish();

  size_t bucket_count() const { return buckets_.size(); }

 private:
  struct Slot {
    torch::Tensor parameter;
    torch::Tensor view;                                  // its place in the bucket, in its shape and strides
    std::shared_ptr<torch::autograd::Node> accumulator;  // kept alive, and with it the hook
    uintptr_t hook = 0;
    bool arrived = false;
  };
  struct Bucket {
    torch::Tensor flat;
    std::vector<Slot> slots;
    size_t missing = 0;
    Processes::Pending pending;
  };

  void arrive(size_t bucket, size_t slot);
  void start_full_ones();

  Processes& processes_;
  std::vector<Bucket> buckets_;
  size_t next_ = 0;  // to be started
};

}  // namespace mfi
