#include "mfi/train/mapping_task.h"

#include <cmath>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/flow/objective.h"
#include "mfi/nn/fold.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

// Keeps the times apart from other uses of the run's seed, the augmentation for one.
constexpr uint64_t kTimeDraws = 0x74696D6573ull;

constexpr int64_t kEvaluatedSteps[] = {1, 2, 4};

std::shared_ptr<Network> make_student(const Network& teacher, const MappingSettings& settings) {
  Arch arch = teacher.arch();
  if (arch.folded)
    throw ShapeError(
        "MappingTask: the teacher " + arch.name +
        " is folded, and stages beside folded ones cannot be trained; give the network it was folded from");
  for (const auto& [stage, flow] : settings.stages) {
    if (stage >= arch.stages.size())
      throw ShapeError(format("MappingTask: stage %zu of a network with %zu stages", stage + 1, arch.stages.size()));
    arch = with_flow_stage(arch, stage, flow);
  }
  auto student = std::make_shared<Network>(arch);
  initialise(*student, settings.seed);
  const auto like = teacher.parameters().front();
  student->to(like.device(), like.scalar_type());
  for (size_t part = 0; part < student->part_count(); ++part) {
    if (part > 0 && settings.stages.count(part - 1)) continue;
    copy_part(teacher, *student, part);
    for (auto& parameter : student->part(part)->parameters()) parameter.requires_grad_(false);
  }
  return student;
}

// Puts modules into eval mode and back into the mode in which they were.
class EvalMode {
 public:
  explicit EvalMode(Network& network) : network_(network) {
    for (size_t i = 0; i < network.part_count(); ++i) was_training_.push_back(network.part(i)->is_training());
    network.eval();
  }
  ~EvalMode() {
    for (size_t i = 0; i < was_training_.size(); ++i) network_.part(i)->train(was_training_[i]);
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  Network& network_;
  std::vector<bool> was_training_;
};

int64_t correct_of(const torch::Tensor& logits, const torch::Tensor& labels) {
  return logits.argmax(1).eq(labels).sum().item<int64_t>();
}

double sum_of_squares(const torch::Tensor& x) {
  const double norm = at::linalg_vector_norm(x, 2, at::OptionalIntArrayRef{}, false, torch::kFloat32).item<double>();
  return norm * norm;
}

// What evaluate() adds up for one stage.
struct StageSums {
  std::map<int64_t, double> squared_error;  // by number of steps
  double squared_target = 0;
  int64_t correct = 0;
};

}  // namespace

MappingTask::MappingTask(const Network& teacher, const MappingSettings& settings)
    : teacher_(fold(teacher)),
      student_(make_student(teacher, settings)),
      settings_(settings),
      device_(teacher.parameters().front().device()) {
  TORCH_INTERNAL_ASSERT(!settings.stages.empty(), "nothing to map");
  for (const auto& [stage, flow] : settings.stages) stages_.push_back(stage);
  teacher_->eval();
  for (auto& parameter : teacher_->parameters()) parameter.requires_grad_(false);
}

std::vector<ParameterSet> MappingTask::parameter_sets() {
  std::vector<ParameterSet> sets;
  for (const size_t stage : stages_) {
    ParameterSet set;
    set.name = part_name(student_->arch(), stage + 1);
    for (const auto& item : student_->stage(stage)->named_parameters())
      set.parameters.emplace_back(set.name + "." + item.key(), item.value());
    sets.push_back(set);
  }
  return sets;
}

void MappingTask::set_training_mode() {
  student_->eval();
  for (const size_t stage : stages_) student_->stage(stage)->train();
}

std::vector<torch::Tensor> MappingTask::teacher_features(const torch::Tensor& images) const {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> features{teacher_->part(0)->forward(images)};
  for (size_t stage = 0; stage <= stages_.back(); ++stage)
    features.push_back(teacher_->stage(stage)->forward(features.back()));
  return features;
}

StepLosses MappingTask::step(const Batch& batch, const StepPosition& position) {
  const auto features = teacher_features(batch.images.to(device_));
  StepLosses out;
  for (const size_t stage : stages_) {
    const auto address = static_cast<uint64_t>(position.batch) * student_->stage_count() + stage;
    const RandomStream random(settings_.seed ^ kTimeDraws, static_cast<uint64_t>(position.epoch), address);
    out.losses.push_back(mapping_objective(student_->flow_stage(stage), features[stage], features[stage + 1],
                                           settings_.objective, random)
                             .loss);
  }
  return out;
}

Metrics MappingTask::evaluate(const Dataset& data) {
  torch::NoGradGuard no_grad;
  const EvalMode eval_mode(*student_);
  std::map<size_t, StageSums> sums;
  int64_t images = 0, teacher_correct = 0;

  auto loader = evaluation_loader(data, settings_.normalisation, settings_.dtype, settings_.evaluation_batch_size);
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    throw_if_stopped();
    const auto labels = batch->labels.to(device_);
    const auto features = teacher_features(batch->images.to(device_));
    const auto rest_of_teacher = [&](const torch::Tensor& stage_output, size_t stage) {
      return correct_of(teacher_->run(stage_output, stage + 2, teacher_->part_count()), labels);
    };
    images += labels.size(0);
    teacher_correct += rest_of_teacher(features.back(), stages_.back());
    for (const size_t stage : stages_) {
      const auto& flow = student_->flow_stage(stage);
      const auto& z0 = features[stage + 1];
      const auto z1 = flow.align(features[stage]);
      auto& sum = sums[stage];
      sum.squared_target += sum_of_squares(z0);
      torch::Tensor output;  // after the stage's own number of steps
      for (const int64_t steps : kEvaluatedSteps) {
        if (steps % flow.arch().modules != 0) continue;
        const auto mapped = flow.integrate(z1, steps);
        sum.squared_error[steps] += sum_of_squares(mapped - z0);
        if (steps == flow.arch().steps) output = mapped;
      }
      if (!output.defined()) output = flow.integrate(z1, flow.arch().steps);
      sum.correct += rest_of_teacher(output, stage);
    }
  }

  Metrics metrics;
  const auto percent = [images](int64_t correct) {
    return 100.0 * static_cast<double>(correct) / static_cast<double>(images);
  };
  for (const auto& [stage, sum] : sums) {
    const auto name = part_name(student_->arch(), stage + 1);
    for (const auto& [steps, squared_error] : sum.squared_error)
      metrics.emplace_back(name + "_error_" + std::to_string(steps) + (steps == 1 ? "step" : "steps"),
                           std::sqrt(squared_error / sum.squared_target));
    metrics.emplace_back(name + "_swap_in_percent", percent(sum.correct));
  }
  metrics.emplace_back("teacher_percent", percent(teacher_correct));
  return metrics;
}

}  // namespace mfi
