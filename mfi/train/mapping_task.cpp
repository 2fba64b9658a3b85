#include "mfi/train/mapping_task.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/flow/squared_error.h"
#include "mfi/nn/fold.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

// Keeps the times apart from other uses of the run's seed, the augmentation for one.
constexpr uint64_t kTimeDraws = 0x74696D6573ull;

constexpr int64_t kEvaluatedSteps[] = {1, 2, 4};

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

// Makes the sums of this process's shares those of all.
void add_up(std::map<size_t, StageSums>& sums, int64_t& images, int64_t& teacher_correct, Processes& processes) {
  std::vector<double> values;
  // Walks over all numbers, in both directions the same way.
  const auto walk = [&](const auto& visit) {
    visit(images);
    visit(teacher_correct);
    for (auto& [stage, sum] : sums) {
      for (auto& [steps, error] : sum.squared_error) visit(error);
      visit(sum.squared_target);
      visit(sum.correct);
    }
  };
  walk([&](const auto& number) { values.push_back(static_cast<double>(number)); });
  processes.sum(values);
  size_t next = 0;
  walk([&]<class Number>(Number& number) { number = static_cast<Number>(values[next++]); });
}

}  // namespace

MappingTask::MappingTask(const Network& teacher, std::shared_ptr<Network> student, const MappingSettings& settings)
    : teacher_(fold(teacher)), student_(std::move(student)), settings_(settings) {
  const auto &teacher_stages = teacher.arch().stages, &stages = student_->arch().stages;
  if (stages.size() != teacher_stages.size())
    throw ShapeError(format("MappingTask: the student has %zu stages, expected the teacher's %zu", stages.size(),
                            teacher_stages.size()));
  for (size_t k = 0; k < stages.size(); ++k) {
    if (!stages[k].is_flow()) continue;
    if (stages[k].in_channels != teacher_stages[k].in_channels ||
        stages[k].out_channels != teacher_stages[k].out_channels || stages[k].stride != teacher_stages[k].stride)
      throw ShapeError(format(
          "MappingTask: stage %zu of the student is %lld -> %lld channels, stride %lld; expected the "
          "teacher's %lld -> %lld, stride %lld",
          k + 1, static_cast<long long>(stages[k].in_channels), static_cast<long long>(stages[k].out_channels),
          static_cast<long long>(stages[k].stride), static_cast<long long>(teacher_stages[k].in_channels),
          static_cast<long long>(teacher_stages[k].out_channels), static_cast<long long>(teacher_stages[k].stride)));
    stages_.push_back(k);
  }
  if (stages_.empty()) throw ShapeError("MappingTask: the student has no flow stage, so there is nothing to map");
  teacher_->eval();
  for (auto& parameter : teacher_->parameters()) parameter.requires_grad_(false);
  for (size_t part = 0; part < student_->part_count(); ++part) {
    const bool mapped = part > 0 && std::find(stages_.begin(), stages_.end(), part - 1) != stages_.end();
    for (auto& parameter : student_->part(part)->parameters()) parameter.requires_grad_(mapped);
  }
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

std::vector<std::optional<WholeBatch>> MappingTask::whole_batches(const Batch& batch,
                                                                  const std::vector<torch::Tensor>& features) const {
  std::vector<std::optional<WholeBatch>> out(stages_.size());
  if (!settings_.processes) return out;
  std::vector<double> sums;
  for (const size_t stage : stages_)
    sums.push_back(mean_square_per_sample(features[stage + 1]).sum(torch::kFloat64).item<double>());
  settings_.processes->sum(sums);
  for (size_t i = 0; i < out.size(); ++i) {
    const auto type = features[0].scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
    out[i] = {settings_.processes->share(), batch.whole,
              torch::full({}, sums[i] / static_cast<double>(batch.whole), features[0].options().dtype(type))};
  }
  return out;
}

StepLosses MappingTask::step(const Batch& batch, const StepPosition& position) {
  const auto features = teacher_features(batch.images);
  const auto wholes = whole_batches(batch, features);
  StepLosses out;
  for (size_t i = 0; i < stages_.size(); ++i) {
    const size_t stage = stages_[i];
    const auto address = static_cast<uint64_t>(position.batch) * student_->stage_count() + stage;
    const RandomStream random(settings_.seed ^ kTimeDraws, static_cast<uint64_t>(position.epoch), address);
    out.losses.push_back(mapping_objective(student_->flow_stage(stage), features[stage], features[stage + 1],
                                           settings_.objective, random, wholes[i])
                             .loss);
  }
  return out;
}

Metrics MappingTask::evaluate(const Dataset& data) {
  torch::NoGradGuard no_grad;
  const EvalMode eval_mode(*student_);
  const auto device = student_->parameters().front().device();
  std::map<size_t, StageSums> sums;
  // All entries from the start: a process without any image has to know them too.
  for (const size_t stage : stages_)
    for (const int64_t steps : kEvaluatedSteps)
      if (auto& errors = sums[stage].squared_error; steps % student_->flow_stage(stage).arch().modules == 0)
        errors[steps] = 0;
  int64_t images = 0, teacher_correct = 0;

  auto loader = evaluation_loader(data, settings_.normalisation, settings_.dtype, settings_.processes,
                                  settings_.evaluation_batch_size);
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    throw_if_stopped();
    const auto labels = batch->labels.to(device);
    const auto features = teacher_features(batch->images.to(device));
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

  if (settings_.processes) add_up(sums, images, teacher_correct, *settings_.processes);

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
