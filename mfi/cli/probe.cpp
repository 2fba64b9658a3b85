#include "mfi/cli/probe.h"

#include <malloc.h>
#include "mfi/core/torch.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>

#include "mfi/cli/random_step.h"
#include "mfi/core/stop_signal.h"
#include "mfi/nn/cost.h"
#include "mfi/report/time_left.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/trainer.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// "VmRSS" or "VmHWM" of this process; negative where the kernel does not tell.
double process_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return 1024 * std::stod(line.substr(field.size() + 1));
  return -1;
}

// From here on VmHWM is the peak of what follows. False where that is not allowed.
bool restart_peak() {
  malloc_trim(0);
  std::ofstream file("/proc/self/clear_refs");
  return static_cast<bool>(file << "5" << std::flush);
}

double tensor_bytes(const Arch& arch) { return 4 * static_cast<double>(total_cost(arch).parameters); }

std::unique_ptr<Task> make_task(const PlannedStep& step, const Arch* teacher_arch, const Recipe& recipe) {
  const auto dtype = activation_type(recipe.runtime);
  std::shared_ptr<const Network> teacher = teacher_arch ? started_network(*teacher_arch) : nullptr;
  if (step.kind == StepKind::map) {
    MappingSettings settings;
    settings.objective = step.objective;
    settings.dtype = dtype;
    return std::make_unique<MappingTask>(*teacher, started_network(step.arch), settings);
  }
  return std::make_unique<ClassificationTask>(started_network(step.arch), step.learns, step.settings, teacher,
                                              Normalisation{}, dtype);
}

struct Measured {
  double seconds_per_image = 0;
  double bytes_per_image = -1;  // activations and work space
  double fixed_bytes = 0;       // weights, gradients, optimiser, what the kernels make of weights
};

// Seconds of the fastest of two to four training steps. The first one compiles kernels and touches fresh memory.
double fastest_step(TrainingStep& train, const Batch& batch) {
  double best = std::numeric_limits<double>::infinity(), spent = 0;
  for (int i = 0; i < 4 && (i < 2 || spent < 0.8); ++i) {
    throw_if_stopped();
    const auto start = Clock::now();
    train(batch);
    const double seconds = seconds_since(start);
    spent += seconds;
    best = std::min(best, seconds);
  }
  return best;
}

Measured measure(const PlannedStep& step, const Arch* teacher, const Recipe& recipe) {
  constexpr int64_t kFirstBatch = 8;
  constexpr double kLongestStep = 2;  // seconds
  const auto& settings = step.settings;

  const bool knows_peak = restart_peak();
  const double before = process_bytes("VmRSS");
  auto task = make_task(step, teacher, recipe);
  task->student().to(torch::Device(recipe.runtime.device));
  TrainingStep train(std::move(task), settings, /*learning_rate=*/1e-6);

  // A small batch first, to learn how large a one may be. What a step costs whatever its batch, as preparing the
  // weights, weighs more there; two batches tell that from what each image costs.
  const int64_t small = std::min(kFirstBatch, settings.batch_size);
  const double small_seconds = fastest_step(train, random_batch(step.arch, small, recipe.runtime));
  const auto large = std::clamp(static_cast<int64_t>(kLongestStep / small_seconds * static_cast<double>(small)), small,
                                settings.batch_size);
  const double small_peak = process_bytes("VmHWM");
  Measured out;
  out.seconds_per_image = small_seconds / static_cast<double>(small);
  // Weights, gradients and one or two moments.
  out.fixed_bytes = tensor_bytes(step.arch) * (settings.optimiser == "sgd" ? 3 : 4) +
                    (settings.ema > 0 ? tensor_bytes(step.arch) : 0) + (teacher ? 2 * tensor_bytes(*teacher) : 0);
  const bool knows_memory = knows_peak && small_peak > 0 && before > 0;
  if (knows_memory)
    out.bytes_per_image = std::max(0.0, small_peak - before - out.fixed_bytes) / static_cast<double>(small);
  if (large < 2 * small) return out;  // too near each other to tell

  const double seconds = fastest_step(train, random_batch(step.arch, large, recipe.runtime));
  const double more = static_cast<double>(large - small);
  const double seconds_an_image = std::max(0.0, seconds - small_seconds) / more;
  const double seconds_a_step = std::max(0.0, seconds - seconds_an_image * static_cast<double>(large));
  out.seconds_per_image = seconds_an_image + seconds_a_step / static_cast<double>(settings.batch_size);
  if (knows_memory) {
    const double peak = process_bytes("VmHWM");
    out.bytes_per_image = (peak - small_peak) / more;  // a peak never falls
    out.fixed_bytes = std::max(out.fixed_bytes, peak - before - out.bytes_per_image * static_cast<double>(large));
  }
  return out;
}

// Equal keys cost the same a step.
std::string cost_key(const PlannedStep& step) {
  auto arch = step.arch;
  arch.name.clear();
  std::string key = arch_to_json(arch) + step.teacher + step.settings.optimiser;
  key += step.kind == StepKind::map ? " map" : " classify";
  key += std::to_string(step.settings.batch_size);
  for (const auto learns : step.learns) key += static_cast<char>('0' + static_cast<int>(learns));
  if (step.kind == StepKind::map)
    key += std::to_string(step.objective.meanflow > 0) + std::to_string(step.objective.endpoint > 0) +
           std::to_string(step.objective.regression > 0) + std::to_string(step.objective.logits > 0);
  return key;
}

}  // namespace

std::map<std::string, StepEstimate> probe_plan(const Plan& plan, const Recipe& recipe, double budget_seconds) {
  const auto start = Clock::now();
  const double training_images = static_cast<double>(plan.data.training_images);
  const double program_bytes = std::max(0.0, process_bytes("VmRSS"));
  std::map<std::string, Measured> measured;
  std::map<std::string, StepEstimate> out;
  TimeLeft speed;
  for (const auto& step : plan.steps) {
    const Arch* teacher = step.teacher.empty() ? nullptr : &plan.step(step.teacher).arch;
    const double images = training_images * step.images_share * static_cast<double>(step.settings.epochs);
    const double work = work_per_image(step, teacher);
    auto& estimate = out[step.name];
    if (step.kind == StepKind::given) {
      estimate.seconds = 0;
      continue;
    }
    const auto key = cost_key(step);
    auto found = measured.find(key);
    if (found == measured.end() && seconds_since(start) < budget_seconds) {
      found = measured.emplace(key, measure(step, teacher, recipe)).first;
      speed.measured(step.name, step.kind, work, 1, found->second.seconds_per_image);
    }
    if (found == measured.end()) {
      estimate.seconds = speed.seconds(step.kind, work, images);
      continue;
    }
    estimate.seconds = found->second.seconds_per_image * images;
    if (found->second.bytes_per_image >= 0)
      estimate.memory_bytes = program_bytes + found->second.fixed_bytes +
                              found->second.bytes_per_image * static_cast<double>(step.settings.batch_size);
  }
  malloc_trim(0);
  return out;
}

}  // namespace mfi
