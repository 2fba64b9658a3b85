// Training a network, or some parts of it, to classify.
#pragma once

#include <memory>
#include <vector>

#include "mfi/distributed/processes.h"
#include "mfi/nn/network.h"
#include "mfi/train/settings.h"
#include "mfi/train/task.h"

namespace mfi {

/// What of a part learns.
enum class Learns {
  nothing,   // neither gradient nor new batch statistics
  velocity,  // of a flow stage: its velocity networks only, the alignment stays as it is
  all,
};

/// Cross-entropy with label smoothing, and optionally with a teacher's soft labels:
///
///   (1 - a) CE(logits, labels) + a T^2 KL(softmax(teacher / T) || softmax(logits / T))
///
/// (Hinton, Vinyals and Dean 2015, arXiv:1503.02531), a = settings.distillation, T = temperature.
///
/// Parts that do not learn run folded, those before the first learning part without a graph.
class ClassificationTask : public Task {
 public:
  /// learns: one entry a part of the network. teacher: may be nullptr when distillation is 0.
  /// dtype: of the activations when evaluating; batches bring their own. processes: those that evaluate together.
  ClassificationTask(std::shared_ptr<Network> network, std::vector<Learns> learns, const StepSettings& settings,
                     std::shared_ptr<const Network> teacher, const Normalisation& normalisation, torch::Dtype dtype,
                     Processes* processes = nullptr);

  torch::nn::Module& student() override { return *network_; }
  std::vector<ParameterSet> parameter_sets() override;
  void set_training_mode() override;
  StepLosses step(const Batch& batch, const StepPosition& position) override;
  Metrics evaluate(const Dataset& data) override;

 private:
  torch::Tensor forward(const torch::Tensor& images) const;

  std::shared_ptr<Network> network_;
  std::vector<Learns> learns_;
  StepSettings settings_;
  std::shared_ptr<Network> teacher_;            // folded
  std::vector<std::shared_ptr<Part>> running_;  // the network's part where it learns, else a folded copy
  size_t first_learning_ = 0;
  Normalisation normalisation_;
  torch::Dtype dtype_;
  Processes* processes_;
};

}  // namespace mfi
