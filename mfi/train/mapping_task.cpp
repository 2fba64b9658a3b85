#include "mfi/train/mapping_task.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/nn/fold.h"
#include "mfi/train/endpoint_error.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

// Puts a module and all within into eval mode and each back into the mode in which it was.
class EvalMode {
 public:
  explicit EvalMode(torch::nn::Module& root) {
    for (const auto& module : root.modules()) was_training_.emplace_back(module, module->is_training());
    root.eval();
  }
  ~EvalMode() {
    // Outer modules come first: what train() does to those within is put right by what follows.
    for (const auto& [module, training] : was_training_) module->train(training);
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> was_training_;
};

int64_t correct_of(const torch::Tensor& logits, const torch::Tensor& labels) {
  return logits.argmax(1).eq(labels).sum().item<int64_t>();
}

// What evaluate() adds up for one stage.
struct StageSums {
  explicit StageSums(const Part& stage) : error(stage) {
    for (const auto steps : error.steps()) correct[steps] = 0;
    correct[own_steps(stage)] = 0;
  }
  EndpointError error;
  std::map<int64_t, int64_t> correct;  // by number of steps: right answers with the stage in the teacher's place
};

// Makes the sums of this process's shares those of all.
void add_up(std::vector<StageSums>& sums, int64_t& images, int64_t& teacher_correct, Processes& processes) {
  std::vector<double> values;
  // Walks over all numbers, in both directions the same way.
  const auto walk = [&](const auto& visit) {
    visit(images);
    visit(teacher_correct);
    for (auto& sum : sums) {
      sum.error.visit_sums(visit);
      for (auto& [steps, correct] : sum.correct) visit(correct);
    }
  };
  walk([&](const auto& number) { values.push_back(static_cast<double>(number)); });
  processes.sum(values);
  size_t next = 0;
  walk([&]<class Number>(Number& number) { number = static_cast<Number>(values[next++]); });
}

// Where in this share those samples are that make up `part` of the whole batch, spread evenly over it: the first ones
// are also those with r < t (time_schedule.h), and own inputs are to have all times alike.
torch::Tensor spread_samples(double part, int64_t samples, const BatchShare& share) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < samples; ++i) {
    const auto in_whole = static_cast<double>(share.index + i * share.count);
    if (std::floor((in_whole + 1) * part) > std::floor(in_whole * part)) out.push_back(i);
  }
  return torch::tensor(out, torch::kInt64);
}

}  // namespace

std::vector<MappedStage> mapped_stages(const Arch& teacher, const Network& student) {
  const auto &theirs = teacher.stages, &ours = student.arch().stages;
  if (ours.size() != theirs.size())
    throw ShapeError(
        format("MappingTask: the student has %zu stages, expected the teacher's %zu", ours.size(), theirs.size()));
  std::vector<MappedStage> out;
  for (size_t k = 0; k < ours.size(); ++k) {
    if (ours[k] == theirs[k] && !ours[k].is_flow()) continue;
    if (ours[k].in_channels != theirs[k].in_channels || ours[k].out_channels != theirs[k].out_channels ||
        ours[k].stride != theirs[k].stride)
      throw ShapeError(
          format("MappingTask: stage %zu of the student is %lld -> %lld channels, stride %lld; expected the "
                 "teacher's %lld -> %lld, stride %lld",
                 k + 1, static_cast<long long>(ours[k].in_channels), static_cast<long long>(ours[k].out_channels),
                 static_cast<long long>(ours[k].stride), static_cast<long long>(theirs[k].in_channels),
                 static_cast<long long>(theirs[k].out_channels), static_cast<long long>(theirs[k].stride)));
    out.push_back({part_name(student.arch(), k + 1), k, student.stage(k)});
  }
  if (out.empty())
    throw ShapeError("MappingTask: the student's stages are all the teacher's, so there is nothing to map");
  return out;
}

MappingTask::MappingTask(const Network& teacher, std::shared_ptr<Network> student, const MappingSettings& settings)
    : MappingTask(teacher, student, mapped_stages(teacher.arch(), *student), settings) {}

MappingTask::MappingTask(const Network& teacher, std::shared_ptr<torch::nn::Module> student,
                         std::vector<MappedStage> stages, const MappingSettings& settings)
    : teacher_(fold(teacher)), student_(std::move(student)), stages_(std::move(stages)), settings_(settings) {
  TORCH_INTERNAL_ASSERT(
      std::is_sorted(stages_.begin(), stages_.end(), [](const auto& a, const auto& b) { return a.stage < b.stage; }));
  if (settings_.own_input > 0)
    for (size_t i = 1; i < stages_.size(); ++i)
      TORCH_INTERNAL_ASSERT(stages_[i - 1].stage != stages_[i].stage, "own_input with several parts for one stage");
  teacher_->eval();
  for (auto& parameter : teacher_->parameters()) parameter.requires_grad_(false);
  for (auto& parameter : student_->parameters()) parameter.requires_grad_(false);
  for (const auto& mapped : stages_)
    for (auto& parameter : mapped.part->parameters()) parameter.requires_grad_(true);
}

std::vector<ParameterSet> MappingTask::parameter_sets() {
  std::vector<ParameterSet> sets;
  for (const auto& mapped : stages_) {
    ParameterSet set;
    set.name = mapped.name;
    for (const auto& item : mapped.part->named_parameters())
      set.parameters.emplace_back(set.name + "." + item.key(), item.value());
    sets.push_back(set);
  }
  return sets;
}

void MappingTask::set_training_mode() {
  student_->eval();
  for (const auto& mapped : stages_) mapped.part->train();
}

std::vector<torch::Tensor> MappingTask::teacher_features(const torch::Tensor& images) const {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> features{teacher_->part(0)->forward(images)};
  for (size_t stage = 0; stage <= stages_.back().stage; ++stage)
    features.push_back(teacher_->stage(stage)->forward(features.back()));
  return features;
}

ObjectiveValue MappingTask::stage_loss(size_t index, const torch::Tensor& x, const torch::Tensor& z0,
                                       const std::optional<WholeBatch>& whole, const StepPosition& position,
                                       bool with_output) const {
  const auto& mapped = stages_[index];
  if (const auto* flow = dynamic_cast<const FlowStage*>(mapped.part.get())) {
    const auto address = static_cast<uint64_t>(position.batch) * teacher_->stage_count() + mapped.stage;
    const RandomStream random(settings_.seed ^ kTimeDraws, static_cast<uint64_t>(position.epoch), address);
    return mapping_objective(*flow, x, z0, settings_.objective, random, whole, with_output);
  }
  ObjectiveValue value;
  value.output = mapped.part->forward(x);
  value.loss = regression_loss(value.output, z0, whole);
  return value;
}

int64_t MappingTask::losses(const Batch& batch, const StepPosition& position, const LossSink& take) {
  const auto features = teacher_features(batch.images);
  std::vector<torch::Tensor> targets;
  for (const auto& mapped : stages_) targets.push_back(features[mapped.stage + 1]);
  const auto wholes = whole_batches(targets, batch.whole, settings_.processes);
  const auto rest_of_teacher = [&](const torch::Tensor& x, size_t stage) {
    return at::log_softmax(teacher_->run(x, stage + 2, teacher_->part_count()), 1);
  };
  torch::Tensor answers;
  if (settings_.objective.logits != 0) {
    torch::NoGradGuard no_grad;
    answers = rest_of_teacher(features.back(), stages_.back().stage);
  }
  const auto own_samples = spread_samples(settings_.own_input * position.done, batch.images.size(0),
                                          settings_.processes ? settings_.processes->share() : BatchShare{})
                               .to(batch.images.device());
  const bool any_own = own_samples.size(0) > 0;
  // These as the student's own stages so far leave them, and whose input that is.
  auto own = features[0].index_select(0, own_samples);
  size_t own_stage = 0;

  for (size_t i = 0; i < stages_.size(); ++i) {
    const size_t stage = stages_[i].stage;
    auto input = features[stage];
    if (any_own) {
      torch::NoGradGuard no_grad;
      for (; own_stage < stage; ++own_stage) own = teacher_->stage(own_stage)->forward(own);
      input = input.index_copy(0, own_samples, own).contiguous(torch::MemoryFormat::ChannelsLast);
    }
    const bool with_output = any_own || answers.defined();
    auto value = stage_loss(i, input, features[stage + 1], wholes[i], position, with_output);
    if (answers.defined()) {
      const auto divergence = at::kl_div(rest_of_teacher(value.output, stage), answers, at::Reduction::Sum,
                                         /*log_target=*/true);
      value.loss = value.loss + settings_.objective.logits * divergence / static_cast<double>(value.output.size(0));
    }
    if (any_own) {
      own = value.output.detach().index_select(0, own_samples).contiguous(torch::MemoryFormat::ChannelsLast);
      own_stage = stage + 1;
    }
    take(value.loss);
  }
  return -1;
}

Metrics MappingTask::evaluate(const Dataset& data) {
  torch::NoGradGuard no_grad;
  const EvalMode eval_mode(*student_);
  const auto device = student_->parameters().front().device();
  std::vector<StageSums> sums;
  // All entries from the start: a process without any image has to know them too.
  for (const auto& mapped : stages_) sums.emplace_back(*mapped.part);
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
    teacher_correct += rest_of_teacher(features.back(), stages_.back().stage);
    for (size_t i = 0; i < stages_.size(); ++i) {
      const size_t stage = stages_[i].stage;
      for (const auto& [steps, output] : sums[i].error.add(*stages_[i].part, features[stage], features[stage + 1]))
        sums[i].correct[steps] += rest_of_teacher(output, stage);
    }
  }

  if (settings_.processes) add_up(sums, images, teacher_correct, *settings_.processes);

  Metrics metrics;
  const auto percent = [images](int64_t correct) {
    return 100.0 * static_cast<double>(correct) / static_cast<double>(images);
  };
  for (size_t i = 0; i < stages_.size(); ++i) {
    const auto& name = stages_[i].name;
    sums[i].error.append_to(metrics, name + "_");
    metrics.emplace_back(name + "_swap_in_percent", percent(sums[i].correct.at(own_steps(*stages_[i].part))));
    for (const auto steps : sums[i].error.steps())
      if (steps != EndpointError::kNoSteps)
        metrics.emplace_back(name + "_swap_in_" + steps_name(steps) + "_percent", percent(sums[i].correct.at(steps)));
  }
  metrics.emplace_back("teacher_percent", percent(teacher_correct));
  return metrics;
}

}  // namespace mfi
