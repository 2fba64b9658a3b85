#include "mfi/train/classification_task.h"

#include <algorithm>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/flow/objective.h"
#include "mfi/nn/fold.h"
#include "mfi/train/endpoint_error.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

void set_learning(Part& part, Learns learns) {
  for (auto& parameter : part.parameters()) parameter.requires_grad_(learns != Learns::nothing);
  if (learns == Learns::velocity)
    for (auto& parameter : dynamic_cast<FlowStage&>(part).alignment()->parameters()) parameter.requires_grad_(false);
}

void require_same_stages(const Arch& student, const Arch& teacher) {
  bool same = student.stages.size() == teacher.stages.size();
  for (size_t k = 0; same && k < student.stages.size(); ++k)
    same = student.stages[k].out_channels == teacher.stages[k].out_channels &&
           student.stages[k].stride == teacher.stages[k].stride;
  if (!same)
    throw ShapeError("features: the stages of " + student.name + " and of its teacher " + teacher.name +
                     " differ in number, channels or stride; expected the same");
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
  if (settings.distillation > 0 || settings.features > 0) {
    TORCH_INTERNAL_ASSERT(teacher, "distillation without a teacher");
    if (settings.features > 0) require_same_stages(network_->arch(), teacher->arch());
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

torch::Tensor ClassificationTask::forward(const torch::Tensor& images, std::vector<torch::Tensor>& stages) const {
  auto x = images;
  const auto run = [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      x = running_[i]->forward(x);
      if (settings_.features > 0 && i > 0 && i + 1 < running_.size()) stages.push_back(x);
    }
  };
  {
    torch::NoGradGuard no_grad;
    run(0, first_learning_);
  }
  run(first_learning_, running_.size());
  return x;
}

torch::Tensor ClassificationTask::loss_by_teacher(const torch::Tensor& logits, const std::vector<torch::Tensor>& stages,
                                                  const Batch& batch) const {
  const double a = settings_.distillation, t = settings_.temperature;
  std::vector<torch::Tensor> targets;  // the stem's and then each stage's output
  torch::Tensor soft;
  {
    torch::NoGradGuard no_grad;
    targets = teacher_->features(batch.full_size.defined() ? batch.full_size : batch.images);
    if (a > 0) soft = at::log_softmax(teacher_->part(teacher_->part_count() - 1)->forward(targets.back()) / t, 1);
  }
  auto loss = torch::zeros({}, logits.options());
  if (a > 0) {
    const auto divergence = at::kl_div(at::log_softmax(logits / t, 1), soft, at::Reduction::Sum, /*log_target=*/true);
    loss = loss + a * t * t * divergence / static_cast<double>(logits.size(0));
  }
  if (stages.empty()) return loss;
  targets.erase(targets.begin());
  const auto wholes = whole_batches(targets, batch.whole, processes_);
  for (size_t k = 0; k < stages.size(); ++k)
    loss = loss +
           settings_.features / static_cast<double>(stages.size()) * regression_loss(stages[k], targets[k], wholes[k]);
  return loss;
}

int64_t ClassificationTask::losses(const Batch& batch, const StepPosition&, const LossSink& take) {
  std::vector<torch::Tensor> stages;
  const auto logits = forward(batch.images, stages);
  auto loss =
      at::cross_entropy_loss(logits, batch.labels, {}, at::Reduction::Sum, kNoLabel, settings_.label_smoothing) /
      static_cast<double>(logits.size(0));
  if (teacher_) {
    loss = (1 - settings_.distillation) * loss + loss_by_teacher(logits, stages, batch);
  }
  take(loss);
  torch::NoGradGuard no_grad;
  const bool all_labelled = !batch.labels.eq(kNoLabel).any().item<bool>();
  return all_labelled ? logits.argmax(1).eq(batch.labels).sum().item<int64_t>() : -1;
}

Metrics ClassificationTask::evaluate(const Dataset& data) {
  const auto accuracy = evaluate_classifier(*network_, data, normalisation_, dtype_, processes_);
  return {{"top1_percent", accuracy.top1_percent}, {"loss", accuracy.loss}};
}

}  // namespace mfi
