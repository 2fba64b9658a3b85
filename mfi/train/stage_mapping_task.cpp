#include "mfi/train/stage_mapping_task.h"

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/flow/shape_text.h"
#include "mfi/train/endpoint_error.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

void require_features(const StageFeatures& features, const char* where) {
  const auto is_one = [](const torch::Tensor& x) { return x.defined() && x.dim() == 4 && x.is_floating_point(); };
  if (!is_one(features.input) || !is_one(features.output) || features.input.size(0) != features.output.size(0))
    throw ShapeError(std::string(where) + ": the stage's input is " +
                     (features.input.defined() ? shape_text(features.input) : "undefined") + ", its output " +
                     (features.output.defined() ? shape_text(features.output) : "undefined") +
                     "; both must be floating [N, C, H, W] with the same N");
}

// A convolution of odd kernel that pads by half of it, as the alignment does.
int64_t strided(int64_t size, int64_t stride) { return (size - 1) / stride + 1; }

}  // namespace

StageArch matching_flow_stage(const StageFeatures& features, const FlowArch& flow) {
  require_features(features, "matching_flow_stage");
  const auto &in = features.input, &out = features.output;
  StageArch arch;
  arch.in_channels = in.size(1);
  arch.out_channels = out.size(1);
  arch.body = flow;
  for (arch.stride = 1; arch.stride <= std::max(in.size(2), in.size(3)); ++arch.stride)
    if (strided(in.size(2), arch.stride) == out.size(2) && strided(in.size(3), arch.stride) == out.size(3)) return arch;
  throw ShapeError("matching_flow_stage: the stage's input is " + shape_text(in) + ", its output " + shape_text(out) +
                   "; no stride leads from the one's height and width to the other's");
}

StageMappingTask::StageMappingTask(StageTeacher teacher, std::shared_ptr<FlowStage> stage,
                                   const MappingSettings& settings)
    : teacher_(std::move(teacher)), stage_(std::move(stage)), settings_(settings) {
  if (settings.objective.logits > 0 || settings.own_input > 0)
    throw RecipeError(
        format("StageMappingTask: objective.logits is %g, own_input %g; expected 0, as the stages around "
               "this one are not known",
               settings.objective.logits, settings.own_input));
}

std::vector<ParameterSet> StageMappingTask::parameter_sets() {
  ParameterSet set{"stage", {}};
  for (const auto& item : stage_->named_parameters()) set.parameters.emplace_back("stage." + item.key(), item.value());
  return {set};
}

StageFeatures StageMappingTask::features(const torch::Tensor& images) const {
  torch::NoGradGuard no_grad;
  auto out = teacher_(images);
  require_features(out, "StageMappingTask");
  // As the operations of mfi want them; free where they are that already.
  for (auto* x : {&out.input, &out.output})
    *x = x->detach().to(images.scalar_type()).contiguous(torch::MemoryFormat::ChannelsLast);
  return out;
}

int64_t StageMappingTask::losses(const Batch& batch, const StepPosition& position, const LossSink& take) {
  const auto [x, z0] = features(batch.images);
  const auto whole = whole_batches({z0}, batch.whole, settings_.processes)[0];
  const RandomStream random(settings_.seed ^ kTimeDraws, static_cast<uint64_t>(position.epoch),
                            static_cast<uint64_t>(position.batch));
  take(mapping_objective(*stage_, x, z0, settings_.objective, random, whole).loss);
  return -1;
}

Metrics StageMappingTask::evaluate(const Dataset& data) {
  torch::NoGradGuard no_grad;
  const bool was_training = stage_->is_training();
  stage_->eval();
  const auto device = stage_->parameters().front().device();
  EndpointError error(*stage_);
  auto loader = evaluation_loader(data, settings_.normalisation, settings_.dtype, settings_.processes,
                                  settings_.evaluation_batch_size);
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    throw_if_stopped();
    const auto [x, z0] = features(batch->images.to(device));
    error.add(*stage_, x, z0);
  }
  if (settings_.processes) {
    std::vector<double> sums;
    error.visit_sums([&](double& sum) { sums.push_back(sum); });
    settings_.processes->sum(sums);
    size_t next = 0;
    error.visit_sums([&](double& sum) { sum = sums[next++]; });
  }
  stage_->train(was_training);
  Metrics metrics;
  error.append_to(metrics, "");
  return metrics;
}

}  // namespace mfi
