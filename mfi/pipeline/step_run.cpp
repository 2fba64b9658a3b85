#include "mfi/pipeline/step_run.h"

#include <ATen/Parallel.h>

#include <map>
#include <memory>

#include "mfi/core/atomic_file.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/sha256.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/student.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/trainer.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

// A run that was killed takes its steps' processes with it, but not in the same instant.
constexpr double kPatienceSeconds = 3;

std::unique_ptr<Task> make_task(const Recipe& recipe, const DataSplits& data, const PlannedStep& step,
                                const std::shared_ptr<Network>& student,
                                const std::shared_ptr<const Network>& teacher) {
  const auto dtype = activation_type(recipe.runtime);
  if (step.kind != StepKind::map)
    return std::make_unique<ClassificationTask>(student, step.learns, step.settings, teacher, data.normalisation,
                                                dtype);
  MappingSettings settings;
  settings.objective = step.objective;
  settings.seed = recipe.seed;
  settings.dtype = dtype;
  settings.normalisation = data.normalisation;
  return std::make_unique<MappingTask>(*teacher, student, settings);
}

}  // namespace

StepResult run_step(const Recipe& recipe, const Plan& plan, const DataSplits& data, const RunFolder& folder,
                    const PlannedStep& step, bool anew, Observer& observer) {
  make_folder(folder.step_folder(step.name));
  const RunLock lock(folder.step_folder(step.name), {.patience_seconds = kPatienceSeconds});
  std::error_code ignored;  // a state that stays behind costs space, nothing else
  // Only the state goes: the old model stays until the new one replaces it.
  if (anew) fs::remove(folder.state_file(step.name), ignored);

  const torch::Device device(recipe.runtime.device);
  std::map<std::string, std::shared_ptr<const Network>> models;
  const auto find = [&](const std::string& name) {
    auto& model = models[name];
    if (!model) {
      auto loaded = load_model(folder.model_file(name), plan.step(name).arch);
      loaded.network->to(device);
      model = loaded.network;
    }
    return model;
  };
  const auto teacher = step.teacher.empty() ? nullptr : find(step.teacher);
  const auto student = assemble_student(step, recipe.seed, find);
  student->to(device);
  const auto task = make_task(recipe, data, step, student, teacher);
  models.clear();

  TrainJob job;
  job.step = step.name;
  job.settings = step.settings;
  job.runtime = recipe.runtime;
  job.seed = recipe.seed;
  job.train = &data.train;
  job.validation = &data.validation;
  job.normalisation = data.normalisation;
  job.folder = folder.step_folder(step.name);
  job.fingerprint = folder.fingerprint(step);
  const auto outcome = train(*task, job, observer);

  StepResult result;
  result.step = step.name;
  result.purpose = step.purpose;
  result.network = step.arch.name;
  result.control = step.control;
  result.shown = step.shown;
  result.epochs = step.settings.epochs;
  result.threads = at::get_num_threads();
  const auto cost = total_cost(step.arch);
  result.parameters = cost.parameters;
  result.macs = cost.macs;
  result.seconds = outcome.seconds;
  result.seconds_per_step = outcome.seconds_per_step;
  result.fingerprint = job.fingerprint;
  // The one time that this step looks at the test images.
  const auto accuracy = evaluate_classifier(*student, data.test, data.normalisation, torch::kFloat32);
  result.test_top1_percent = accuracy.top1_percent;
  result.test_loss = accuracy.loss;
  if (step.kind == StepKind::map) result.details = task->evaluate(data.test);

  save_model(folder.model_file(step.name), *student, {data.test.class_names, data.normalisation, data.name, step.name});
  result.model_sha256 = sha256_file(folder.model_file(step.name));
  write_step_result(folder.record_file(step.name), result);
  fs::remove(folder.state_file(step.name), ignored);
  return result;
}

}  // namespace mfi
