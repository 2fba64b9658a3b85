// Several processes that train one network together.
#pragma once

#include "mfi/core/torch.h"

#include <functional>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <vector>

#include "mfi/core/batch_share.h"
#include "mfi/distributed/environment.h"
#include "mfi/distributed/watch.h"
#include "mfi/ops/batch_sums.h"

namespace mfi {

struct JoinSettings {
  std::chrono::milliseconds patience{300000};  // until all have come
  WatchSettings watch;
};

/// The processes of a training as one of them sees them. Everything but sum_later() blocks until all others
/// have called the same, in the same order; each of these calls throws PeerError, which names the process,
/// when one of them is lost or has failed (see Watch).
///
/// Used by the main thread alone. When an error ends the training, say_farewell() lets the others know of
/// it; when all goes well, finish() lets all end together.
class Processes {
 public:
  /// Meets the others at the store. Throws PeerError naming those that have not come when `patience` is over,
  /// UsageError when the address or port cannot be used. last_resort: see Watch.
  static std::shared_ptr<Processes> join(const ProcessPlace& place, std::function<void(const PeerError&)> last_resort,
                                         const JoinSettings& settings = {});
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  int64_t rank() const { return place_.rank; }
  int64_t size() const { return place_.size; }
  /// The one that writes files and speaks.
  bool is_first() const { return place_.rank == 0; }
  BatchShare share() const { return {place_.rank, place_.size}; }
  /// Where this process computes: a GPU of its own, or the CPU. device: "cuda" or "cpu".
  torch::Device device(const std::string& device) const;

  /// Replaces every value by its sum over the processes, in all of them by the same bits.
  void sum(std::vector<double>& values);

  /// Starts to do the same with a dense CPU tensor, and returns at once. Calls of different processes meet
  /// in their order, apart from those of all other kinds. The tensor must not be touched until wait().
  using Pending = c10::intrusive_ptr<c10d::Work>;
  Pending sum_later(const torch::Tensor& tensor);
  void wait(const Pending& pending);

  /// Copies the first process's tensors (same shapes and types everywhere, any device) or text to all.
  void broadcast(const std::vector<torch::Tensor>& tensors);
  std::string broadcast(const std::string& text);

  /// Throws UsageError when `text` differs between the processes. what: "the recipe"
  void require_same(const std::string& what, const std::string& text);

  /// For statistics of a batch that all have a share of; lives as long as this.
  BatchSumsPtr batch_sums();

  /// Tells the others why this process ends, which ends them too, and waits up to 4 s until they know.
  void say_farewell(const Error& error);
  /// Waits until all others have come to their end.
  void finish();

 private:
  explicit Processes(const ProcessPlace& place) : place_(place) {}
  void meet(const JoinSettings& settings, std::function<void(const PeerError&)> last_resort);
  std::string own_address();
  void await_keys(const std::string& prefix, std::chrono::milliseconds patience);

  ProcessPlace place_;
  std::vector<std::string> names_;  // "process 1 on node7", by rank
  c10::intrusive_ptr<c10d::Store> store_;
  std::unique_ptr<Watch> watch_;
  // Two, because a sum of statistics in the middle of a backward pass must not have to keep an order with
  // the gradients that are under way.
  c10::intrusive_ptr<c10d::Backend> sums_, gradients_;
  bool finished_ = false;
};

}  // namespace mfi
