#include "mfi/pipeline/runner.h"

#include <algorithm>
#include <map>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/sha256.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/machine.h"
#include "mfi/pipeline/student.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/trainer.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

std::string number_text(double value) { return format("%.17g", value); }

// All that decides what a step's training does, as text: what the fingerprint is taken of. The
// number of epochs is among it; threads and device are not, although they may move a result by
// rounding.
std::string settings_text(const StepSettings& s) {
  return join({std::to_string(s.epochs), std::to_string(s.batch_size), s.optimiser, number_text(s.learning_rate),
               number_text(s.weight_decay), number_text(s.momentum), s.schedule, number_text(s.warmup_epochs),
               number_text(s.label_smoothing), number_text(s.ema), number_text(s.distillation),
               number_text(s.temperature), s.augment ? "augment" : "plain"},
              " ");
}

std::string objective_text(const ObjectiveSettings& o) {
  return join({number_text(o.meanflow), number_text(o.endpoint), number_text(o.alignment), number_text(o.regression),
               o.gradient_through_velocity ? "through" : "detached", std::to_string(o.endpoint_steps),
               number_text(o.power), number_text(o.r_equals_t), number_text(o.time_mean), number_text(o.time_stddev)},
              " ");
}

std::string learns_text(const std::vector<Learns>& learns) {
  std::string out;
  for (const auto l : learns) out += l == Learns::nothing ? '-' : l == Learns::velocity ? 'v' : 'a';
  return out;
}

// One run: the folder, the data and what has been finished so far.
class Runner {
 public:
  Runner(const Recipe& recipe, const RunOptions& options, RunObserver& observer)
      : recipe_(recipe),
        options_(options),
        observer_(observer),
        plan_(make_plan(recipe, dataset_classes(recipe.data.dataset))) {
    apply_runtime(recipe.runtime);
    for (const auto& name : options.force) plan_.step(name);  // refuses unknown names before any work
    auto data = recipe.data;
    data.seed = recipe.seed;
    data_ = open_data(data, options.data);  // before the folder: without data nothing shall be left behind
    if (options.processes) require_same_everywhere();
    if (!is_first()) return;
    make_folder(options.out);
    lock_.emplace(options.out);
    replace_file(options.out / "recipe.toml", recipe_to_toml(recipe));
  }

  RunResults run() {
    if (!is_first()) return follow();
    auto remaining = probably_remaining();
    for (const auto& step : plan_.steps) {
      const auto fingerprint = fingerprint_of(step);
      if (const auto* done = finished(step, fingerprint)) {
        observer_.on_step_done(*done, /*was_already_done=*/true);
      } else {
        observer_.on_step_start(step, remaining);
        if (options_.processes) options_.processes->broadcast(step.name);
        results_[step.name] = run_step(step, fingerprint);
        observer_.on_step_done(results_[step.name], /*was_already_done=*/false);
      }
      std::erase(remaining, &step);
      write_results(options_.out / "results.json", results());
    }
    if (options_.processes) options_.processes->broadcast(std::string());
    return results();
  }

 private:
  bool is_first() const { return !options_.processes || options_.processes->is_first(); }

  void require_same_everywhere() const {
    options_.processes->require_same("the version of mfi", version_text());
    options_.processes->require_same("the recipe", recipe_to_toml(recipe_));
    options_.processes->require_same("the dataset", data_.fingerprint);
  }

  // What all processes but the first do: the steps that it names, until it names none.
  RunResults follow() {
    for (;;) {
      const auto step = options_.processes->broadcast(std::string());
      if (step.empty()) return {};
      run_step(plan_.step(step), /*fingerprint=*/"");
    }
  }

  fs::path folder(const std::string& step) const { return options_.out / step; }
  fs::path model_file(const std::string& step) const { return folder(step) / "model.safetensors"; }

  std::string fingerprint_of(const PlannedStep& step) const {
    std::vector<std::string> parts{arch_to_json(step.arch),
                                   settings_text(step.settings),
                                   learns_text(step.learns),
                                   data_.fingerprint,
                                   std::to_string(recipe_.seed),
                                   recipe_.runtime.precision,
                                   number_text(recipe_.data.validation),
                                   std::to_string(recipe_.data.limit)};
    // Not with how many processes: a run may go on with more or fewer.
    if (recipe_.runtime.sync_batch_norm) parts.push_back("sync batch norm");
    if (step.kind == StepKind::map) parts.push_back(objective_text(step.objective));
    for (const auto& from : step.part_from) parts.push_back("part " + from);
    for (const auto& input : step.inputs()) parts.push_back(input + " " + results_.at(input).model_sha256);
    return sha256_text(join(parts, "\n"));
  }

  bool is_forced(const PlannedStep& step) const {
    return std::find(options_.force.begin(), options_.force.end(), step.name) != options_.force.end();
  }

  fs::path record_file(const PlannedStep& step) const { return folder(step.name) / "step.json"; }

  bool has_record(const PlannedStep& step) const {
    return fs::exists(record_file(step)) && fs::exists(model_file(step.name));
  }

  // The steps that are not done and those that need one of them, for the estimate of the time left. A
  // step may still be skipped when what it needs comes out the same as before.
  std::vector<const PlannedStep*> probably_remaining() {
    std::vector<const PlannedStep*> out;
    for (const auto& step : plan_.steps) {
      const auto inputs = step.inputs();
      const bool inputs_done =
          std::all_of(inputs.begin(), inputs.end(), [&](const auto& i) { return results_.count(i); });
      if (inputs_done && !is_forced(step) && has_record(step)) {
        const auto result = read_step_result(record_file(step));
        if (result.fingerprint == fingerprint_of(step)) {
          results_[step.name] = result;
          continue;
        }
      }
      out.push_back(&step);
    }
    return out;
  }

  // The record of a step that is done with this fingerprint, or nullptr.
  const StepResult* finished(const PlannedStep& step, const std::string& fingerprint) {
    if (is_forced(step)) {
      // Only the state goes: the old model stays until the new one replaces it.
      std::error_code ignored;
      fs::remove(folder(step.name) / "state.safetensors", ignored);
      return nullptr;
    }
    if (!has_record(step)) return nullptr;
    auto result = read_step_result(record_file(step));
    if (result.fingerprint != fingerprint) {
      observer_.on_message(step.name + ": settings or inputs have changed since it was done; running it again");
      return nullptr;
    }
    return &(results_[step.name] = result);
  }

  std::shared_ptr<Network> model_of(const std::string& step) const {
    const auto& arch = plan_.step(step).arch;
    const auto network = is_first() ? load_model(model_file(step), arch).network : std::make_shared<Network>(arch);
    if (options_.processes) {
      std::vector<torch::Tensor> tensors;
      for (const auto& [name, tensor] : named_tensors(*network)) tensors.push_back(tensor);
      options_.processes->broadcast(tensors);
      network->eval();
    }
    network->to(device());
    return network;
  }

  torch::Device device() const {
    return options_.processes ? options_.processes->device(recipe_.runtime.device)
                              : torch::Device(recipe_.runtime.device);
  }

  StepResult run_step(const PlannedStep& step, const std::string& fingerprint) {
    std::map<std::string, std::shared_ptr<const Network>> models;
    const auto find = [&](const std::string& name) {
      auto& model = models[name];
      if (!model) model = model_of(name);
      return model;
    };
    const auto teacher = step.teacher.empty() ? nullptr : find(step.teacher);
    const auto student = assemble_student(step, recipe_.seed, find);
    student->to(device());
    if (options_.processes && recipe_.runtime.sync_batch_norm)
      share_batch_statistics(*student, options_.processes->batch_sums());
    const auto task = make_task(step, student, teacher);
    models.clear();

    TrainJob job;
    job.step = step.name;
    job.settings = step.settings;
    job.runtime = recipe_.runtime;
    job.seed = recipe_.seed;
    job.train = &data_.train;
    job.validation = &data_.validation;
    job.normalisation = data_.normalisation;
    job.folder = folder(step.name);
    job.fingerprint = fingerprint;
    job.processes = options_.processes;
    const auto outcome = train(*task, job, observer_);

    StepResult result;
    result.step = step.name;
    result.purpose = step.purpose;
    result.network = step.arch.name;
    result.control = step.control;
    result.shown = step.shown;
    result.epochs = step.settings.epochs;
    const auto cost = total_cost(step.arch);
    result.parameters = cost.parameters;
    result.macs = cost.macs;
    result.seconds = outcome.seconds;
    result.seconds_per_step = outcome.seconds_per_step;
    result.fingerprint = fingerprint;
    // The one time that this step looks at the test images.
    const auto accuracy =
        evaluate_classifier(*student, data_.test, data_.normalisation, torch::kFloat32, options_.processes);
    result.test_top1_percent = accuracy.top1_percent;
    result.test_loss = accuracy.loss;
    if (step.kind == StepKind::map) result.details = task->evaluate(data_.test);

    if (!is_first()) return result;
    save_model(model_file(step.name), *student, {data_.test.class_names, data_.normalisation, data_.name, step.name});
    result.model_sha256 = sha256_file(model_file(step.name));
    write_step_result(folder(step.name) / "step.json", result);
    std::error_code ignored;  // a state that stays behind costs space, nothing else
    fs::remove(folder(step.name) / "state.safetensors", ignored);
    return result;
  }

  std::unique_ptr<Task> make_task(const PlannedStep& step, const std::shared_ptr<Network>& student,
                                  const std::shared_ptr<const Network>& teacher) const {
    const auto dtype = activation_type(recipe_.runtime);
    if (step.kind != StepKind::map)
      return std::make_unique<ClassificationTask>(student, step.learns, step.settings, teacher, data_.normalisation,
                                                  dtype, options_.processes);
    MappingSettings settings;
    settings.objective = step.objective;
    settings.seed = recipe_.seed;
    settings.dtype = dtype;
    settings.normalisation = data_.normalisation;
    settings.processes = options_.processes;
    return std::make_unique<MappingTask>(*teacher, student, settings);
  }

  RunResults results() const {
    RunResults out;
    out.run = recipe_.name;
    out.dataset = data_.name;
    out.training_images = data_.train.size();
    out.test_images = data_.test.size();
    out.machine = machine_text();
    out.version = version_text();
    out.precision = recipe_.runtime.precision;
    for (const auto& step : plan_.steps)
      if (const auto found = results_.find(step.name); found != results_.end()) out.steps.push_back(found->second);
    return out;
  }

  const Recipe& recipe_;
  const RunOptions& options_;
  RunObserver& observer_;
  Plan plan_;
  std::optional<RunLock> lock_;
  DataSplits data_;
  std::map<std::string, StepResult> results_;
};

}  // namespace

RunResults run_pipeline(const Recipe& recipe, const RunOptions& options, RunObserver& observer) {
  return Runner(recipe, options, observer).run();
}

RunResults collect_results(const fs::path& out) { return read_results(out / "results.json"); }

}  // namespace mfi
