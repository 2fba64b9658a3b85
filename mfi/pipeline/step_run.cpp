#include "mfi/pipeline/step_run.h"

#include <ATen/Parallel.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "mfi/core/atomic_file.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/sha256.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/machine.h"
#include "mfi/pipeline/predictions.h"
#include "mfi/pipeline/student.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/trainer.h"
#include "mfi/train/whitening.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

// A run that was killed takes its steps' processes with it, but not in the same instant.
constexpr double kPatienceSeconds = 3;

std::unique_ptr<Task> make_task(const Recipe& recipe, const DataSplits& data, const PlannedStep& step,
                                const std::shared_ptr<Network>& student, const std::shared_ptr<const Network>& teacher,
                                Processes* processes) {
  const auto dtype = activation_type(recipe.runtime);
  if (step.kind != StepKind::map)
    return std::make_unique<ClassificationTask>(student, step.learns, step.settings, teacher, data.normalisation, dtype,
                                                processes);
  MappingSettings settings;
  settings.objective = step.objective;
  settings.own_input = step.settings.own_input;
  settings.seed = recipe.seed;
  settings.dtype = dtype;
  settings.normalisation = data.normalisation;
  settings.processes = processes;
  return std::make_unique<MappingTask>(*teacher, student, settings);
}

const Dataset& images_of(const PlannedStep& step, const DataSplits& data) {
  return step.images == Images::training ? data.train : step.images == Images::labelled ? data.labelled : data.all;
}

// The first process reads the model, the others get it from there.
std::shared_ptr<Network> load_for_all(const fs::path& file, const Arch& arch, Processes* processes) {
  const bool reads = !processes || processes->is_first();
  const auto network = reads ? load_model(file, arch).network : std::make_shared<Network>(arch);
  if (!processes) return network;
  std::vector<torch::Tensor> tensors;
  for (const auto& [name, tensor] : named_tensors(*network)) tensors.push_back(tensor);
  processes->broadcast(tensors);
  network->eval();
  return network;
}

std::shared_ptr<Network> model_of(const RunFolder& folder, const PlannedStep& step, Processes* processes) {
  const auto network = load_for_all(folder.model_file(step.name), step.arch, processes);
  if (!processes || processes->is_first()) folder.require_own_model(step.name);
  return network;
}

// The recipe's model, for the data's size of image, and for their classes where it is to be fine-tuned.
std::shared_ptr<Network> given_model(const PlannedStep& step, uint64_t seed, const std::vector<std::string>& classes,
                                     Processes* processes) {
  const auto [file_arch, info] = describe_model(step.model_file);
  auto arch = step.arch;
  arch.image_size = file_arch.image_size;
  arch.classes = file_arch.classes;
  const auto given = load_for_all(step.model_file, arch, processes);
  const auto network = std::make_shared<Network>(step.arch);
  initialise(*network, seed);
  const size_t head = network->part_count() - 1;
  for (size_t part = 0; part < network->part_count(); ++part)
    if (part != head || info.may_have_classes(classes)) copy_part(*given, *network, part);
  network->eval();
  return network;
}

// Before anything of a new training is written: a record would say of it that it is done. The old model stays until the
// new one replaces it.
void remove_what_was(const RunFolder& folder, const PlannedStep& step, bool with_states) {
  if (with_states) folder.states(step.name).remove();
  std::error_code ignored;  // there may be none
  fs::remove(folder.record_file(step.name), ignored);
  flush_folder(folder.step_folder(step.name));
}

}  // namespace

StepResult run_step(const Recipe& recipe, const Plan& plan, const DataSplits& data, const RunFolder& folder,
                    const PlannedStep& step, const RunOptions& options, Observer& observer) {
  Processes* const processes = options.processes;
  const bool is_first = !processes || processes->is_first();
  std::optional<RunLock> lock;
  if (is_first) {
    make_folder(folder.step_folder(step.name));
    lock.emplace(folder.step_folder(step.name), LockOptions{.patience_seconds = kPatienceSeconds});
  }
  const bool forced = options.forces(step.name);
  // Another process may have had the lock until now, to do this very step.
  if (!processes && !forced)
    if (const auto done = folder.done_by_now(step)) return *done;
  const auto states = folder.states(step.name);
  const auto state = is_first ? states.peek() : std::nullopt;
  const bool is_others = forced || (state && !folder.goes_on_from(step, *state));

  const auto device = processes ? processes->device(recipe.runtime.device) : torch::Device(recipe.runtime.device);
  std::map<std::string, std::shared_ptr<const Network>> models;
  const auto find = [&](const std::string& name) {
    auto& model = models[name];
    if (!model) {
      const auto network = model_of(folder, plan.step(name), processes);
      network->to(device);
      model = network;
    }
    return model;
  };
  const auto teacher = step.teacher.empty() ? nullptr : find(step.teacher);
  const auto student = step.model_file.empty() ? assemble_student(step, recipe.seed, find)
                                               : given_model(step, recipe.seed, data.test.class_names, processes);
  const auto& images = images_of(step, data);
  student->to(device);
  if (step.settings.whitening && step.model_file.empty() && step.part_from.front().empty()) {
    if (is_first && (is_others || !state)) whiten_stem(*student, images, data.normalisation);
    if (processes) processes->broadcast(student->part(0)->parameters());
  }
  if (processes && recipe.runtime.sync_batch_norm) share_batch_statistics(*student, processes->batch_sums());
  std::unique_ptr<Task> task;
  if (step.kind != StepKind::given) task = make_task(recipe, data, step, student, teacher, processes);
  models.clear();

  TrainJob job;
  job.step = step.name;
  job.section = step.section;
  job.settings = step.settings;
  job.runtime = recipe.runtime;
  job.seed = recipe.seed;
  job.train = &images;
  job.validation = &data.validation;
  job.normalisation = data.normalisation;
  job.folder = folder.step_folder(step.name);
  if (is_first) {
    job.fingerprint = folder.fingerprint(step);
    job.family = folder.family(step);
  }
  job.from_its_start = is_others;
  job.begin = [&] { remove_what_was(folder, step, is_others); };
  job.environment = environment_text(recipe.runtime, processes ? processes->share().count : 1);
  job.repeatable = options.repeatable;
  job.checkpoint = recipe.checkpoint;
  job.on_nonfinite = options.on_nonfinite;
  job.processes = processes;
  if (!task && is_first) job.begin();
  const auto outcome = task ? train(*task, job, observer) : TrainOutcome{};

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
  observer.on_phase(step.name, "evaluate");
  // The one time that this step looks at the test images.
  Answers answers;
  const auto accuracy =
      evaluate_classifier(*student, data.test, data.normalisation, torch::kFloat32, processes, &answers);
  result.test_top1_percent = accuracy.top1_percent;
  result.test_loss = accuracy.loss;
  if (step.kind == StepKind::map) result.details = task->evaluate(data.test);
  if (!is_first) return result;

  observer.on_phase(step.name, "save");
  write_predictions(folder.step_folder(step.name) / kPredictionsFile, answers);
  save_model(folder.model_file(step.name), *student,
             {data.test.class_names, data.normalisation, data.name, step.name, recipe.data.resize, recipe.data.crop,
              recipe.data.test, recipe.seed});
  result.model_sha256 = sha256_file(folder.model_file(step.name));
  write_step_result(folder.record_file(step.name), result);
  recipe.checkpoint.final_state ? states.keep_newest() : states.remove();
  std::error_code ignored;  // of an attempt that failed; it costs nothing
  fs::remove(folder.step_folder(step.name) / "nonfinite.json", ignored);
  return result;
}

}  // namespace mfi
