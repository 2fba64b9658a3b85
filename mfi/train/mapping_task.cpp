#include "mfi/train/mapping_task.h"

#include <algorithm>
#include <map>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/nn/fold.h"
#include "mfi/train/endpoint_error.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

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

// What evaluate() adds up for one stage.
struct StageSums {
  explicit StageSums(const FlowArch& flow) : error(flow), own_steps(flow.steps) {
    for (const auto steps : error.steps()) correct[steps] = 0;
    correct[own_steps] = 0;
  }
  EndpointError error;
  int64_t own_steps;
  std::map<int64_t, int64_t> correct;  // by number of steps: right answers with the stage in the teacher's place
};

// Makes the sums of this process's shares those of all.
void add_up(std::map<size_t, StageSums>& sums, int64_t& images, int64_t& teacher_correct, Processes& processes) {
  std::vector<double> values;
  // Walks over all numbers, in both directions the same way.
  const auto walk = [&](const auto& visit) {
    visit(images);
    visit(teacher_correct);
    for (auto& [stage, sum] : sums) {
      sum.error.visit_sums(visit);
      for (auto& [steps, correct] : sum.correct) visit(correct);
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

StepLosses MappingTask::step(const Batch& batch, const StepPosition& position) {
  const auto features = teacher_features(batch.images);
  std::vector<torch::Tensor> targets;
  for (const size_t stage : stages_) targets.push_back(features[stage + 1]);
  const auto wholes = whole_batches(targets, batch.whole, settings_.processes);
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
  for (const size_t stage : stages_) sums.emplace(stage, student_->flow_stage(stage).arch());
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
      auto& sum = sums.at(stage);
      for (const auto& [steps, output] : sum.error.add(flow, flow.align(features[stage]), features[stage + 1]))
        sum.correct[steps] += rest_of_teacher(output, stage);
    }
  }

  if (settings_.processes) add_up(sums, images, teacher_correct, *settings_.processes);

  Metrics metrics;
  const auto percent = [images](int64_t correct) {
    return 100.0 * static_cast<double>(correct) / static_cast<double>(images);
  };
  for (const auto& [stage, sum] : sums) {
    const auto name = part_name(student_->arch(), stage + 1);
    sum.error.append_to(metrics, name + "_");
    metrics.emplace_back(name + "_swap_in_percent", percent(sum.correct.at(sum.own_steps)));
    for (const auto steps : sum.error.steps())
      metrics.emplace_back(name + "_swap_in_" + steps_name(steps) + "_percent", percent(sum.correct.at(steps)));
  }
  metrics.emplace_back("teacher_percent", percent(teacher_correct));
  return metrics;
}

}  // namespace mfi
