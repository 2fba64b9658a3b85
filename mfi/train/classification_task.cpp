#include "mfi/train/classification_task.h"

#include <algorithm>

#include "mfi/nn/fold.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

void set_learning(Part& part, Learns learns) {
  for (auto& parameter : part.parameters()) parameter.requires_grad_(learns != Learns::nothing);
  if (learns == Learns::velocity)
    for (auto& parameter : dynamic_cast<FlowStage&>(part).alignment()->parameters()) parameter.requires_grad_(false);
}

}  // namespace

ClassificationTask::ClassificationTask(std::shared_ptr<Network> network, std::vector<Learns> learns,
                                       const StepSettings& settings, std::shared_ptr<const Network> teacher,
                                       const Normalisation& normalisation, torch::Dtype dtype, Processes* processes)
    : network_(std::move(network)),
      learns_(std::move(learns)),
      settings_(settings),
      normalisation_(normalisation),
      dtype_(dtype),
      processes_(processes) {
  TORCH_INTERNAL_ASSERT(learns_.size() == network_->part_count());
  if (settings.distillation > 0) {
    TORCH_INTERNAL_ASSERT(teacher, "distillation without a teacher");
    teacher_ = fold(*teacher);
  }
  const auto folded = fold(*network_);
  for (auto& parameter : folded->parameters()) parameter.requires_grad_(false);
  for (size_t i = 0; i < learns_.size(); ++i) {
    set_learning(*network_->part(i), learns_[i]);
    running_.push_back(learns_[i] == Learns::nothing ? folded->part(i) : network_->part(i));
  }
  first_learning_ =
      std::find_if(learns_.begin(), learns_.end(), [](Learns l) { return l != Learns::nothing; }) - learns_.begin();
}

std::vector<ParameterSet> ClassificationTask::parameter_sets() {
  ParameterSet set{"network", {}};
  for (const auto& item : network_->named_parameters())
    if (item.value().requires_grad()) set.parameters.emplace_back(item.key(), item.value());
  return {set};
}

void ClassificationTask::set_training_mode() {
  network_->eval();
  for (size_t i = 0; i < learns_.size(); ++i) {
    if (learns_[i] == Learns::nothing) continue;
    network_->part(i)->train();
    if (learns_[i] == Learns::velocity) dynamic_cast<FlowStage&>(*network_->part(i)).alignment()->eval();
  }
}

torch::Tensor ClassificationTask::forward(const torch::Tensor& images) const {
  auto x = images;
  {
    torch::NoGradGuard no_grad;
    for (size_t i = 0; i < first_learning_; ++i) x = running_[i]->forward(x);
  }
  for (size_t i = first_learning_; i < running_.size(); ++i) x = running_[i]->forward(x);
  return x;
}

StepLosses ClassificationTask::step(const Batch& batch, const StepPosition&) {
  const auto logits = forward(batch.images);
  auto loss = at::cross_entropy_loss(logits, batch.labels, {}, at::Reduction::Mean, /*ignore_index=*/-100,
                                     settings_.label_smoothing);
  if (teacher_) {
    const double a = settings_.distillation, t = settings_.temperature;
    torch::Tensor soft;
    {
      torch::NoGradGuard no_grad;
      soft = at::log_softmax(teacher_->forward(batch.images) / t, 1);
    }
    const auto divergence = at::kl_div(at::log_softmax(logits / t, 1), soft, at::Reduction::Sum, /*log_target=*/true) /
                            static_cast<double>(logits.size(0));
    loss = (1 - a) * loss + a * t * t * divergence;
  }
  torch::NoGradGuard no_grad;
  return {{loss}, logits.argmax(1).eq(batch.labels).sum().item<int64_t>()};
}

Metrics ClassificationTask::evaluate(const Dataset& data) {
  const auto accuracy = evaluate_classifier(*network_, data, normalisation_, dtype_, processes_);
  return {{"top1_percent", accuracy.top1_percent}, {"loss", accuracy.loss}};
}

}  // namespace mfi
