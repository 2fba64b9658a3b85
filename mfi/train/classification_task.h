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
/// (Hinton, Vinyals and Dean 2015, arXiv:1503.02531), a = settings.distillation, T = temperature; and, with a weight of
/// settings.features, the mean over the stages of the squared distance between the student's and the teacher's output,
/// relative to the mean square of the latter (FitNets, Romero et al. 2015, arXiv:1412.6550, between like stages).
///
/// An image without a label (kNoLabel) has no cross-entropy: the batch's is the sum of the others' over all images. The
/// teacher looks at Batch::full_size where that is given.
///
/// Parts that do not learn run folded, those before the first learning part without a graph.
class ClassificationTask : public Task {
 public:
  /// learns: one entry a part of the network. teacher: may be nullptr when distillation and features are 0; with
  /// features it has to have the network's stages, by number, channels and resolution: else ShapeError.
  /// dtype: of the activations when evaluating; batches bring their own. processes: those that evaluate together.
  ClassificationTask(std::shared_ptr<Network> network, std::vector<Learns> learns, const StepSettings& settings,
                     std::shared_ptr<const Network> teacher, const Normalisation& normalisation, torch::Dtype dtype,
                     Processes* processes = nullptr);

  torch::nn::Module& student() override { return *network_; }
  std::vector<ParameterSet> parameter_sets() override;
  void set_training_mode() override;
  int64_t losses(const Batch& batch, const StepPosition& position, const LossSink& take) override;
  Metrics evaluate(const Dataset& data) override;

 private:
  // The stages' outputs too, where features are asked for.
  torch::Tensor forward(const torch::Tensor& images, std::vector<torch::Tensor>& stages) const;
  torch::Tensor loss_by_teacher(const torch::Tensor& logits, const std::vector<torch::Tensor>& stages,
                                const Batch& batch) const;

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
