// mfi bench
#include <sys/resource.h>
#include "mfi/core/torch.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>

#include "mfi/cli/bench_loading.h"
#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/operation_profile.h"
#include "mfi/cli/random_step.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/loader.h"
#include "mfi/nn/arch.h"
#include "mfi/nn/fold.h"
#include "mfi/pipeline/machine.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/classification_task.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/trainer.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kClasses = 10;

struct BenchArguments {
  std::string work, arch = "resnet34", model, data;
  int64_t width = 16, batch = 128, image_size = 0;
  double seconds = 10;
  bool loader = false, profile = false, augment = false;
  RuntimeSettings runtime = {.threads = 2};
};

// Every stage as a flow stage: velocity networks of about the widths that keep a ResNet-34 within the paper's
// budget, two modules in the last stage and one in the others.
Arch meta_arch(Arch arch) {
  constexpr double kHiddenShare[] = {1, 50.0 / 64, 200.0 / 256, 416.0 / 512};
  for (size_t stage = 0; stage < arch.stages.size(); ++stage) {
    FlowArch flow;
    const double share = kHiddenShare[std::min<size_t>(stage, 3)];
    flow.hidden =
        std::max<int64_t>(8, static_cast<int64_t>(share * static_cast<double>(arch.stages[stage].out_channels)));
    flow.modules = flow.steps = stage + 1 == arch.stages.size() ? 2 : 1;
    arch = with_flow_stage(arch, stage, flow);
  }
  return arch;
}

std::shared_ptr<Network> make_network(const BenchArguments& arguments) {
  if (!arguments.model.empty()) return load_model(arguments.model).network;
  return started_network(resnet_arch(arguments.arch, arguments.width, kClasses));
}

std::function<void(const Batch&)> make_work(const BenchArguments& arguments, const std::shared_ptr<Network>& network) {
  const auto dtype = activation_type(arguments.runtime);
  const torch::Device device(arguments.runtime.device);
  const auto& arch = network->arch();
  network->to(device);
  StepSettings settings;  // AdamW, label smoothing 0.1
  settings.batch_size = arguments.batch;

  if (arguments.work == "train") {
    std::vector<Learns> learns(network->part_count(), Learns::all);
    auto task = std::make_unique<ClassificationTask>(network, learns, settings, nullptr, Normalisation{}, dtype);
    return [step = std::make_shared<TrainingStep>(std::move(task), settings, 1e-3)](const Batch& batch) {
      (*step)(batch);
    };
  }
  if (arguments.work == "map") {
    MappingSettings mapping;
    mapping.dtype = dtype;
    // MeanFlow to the letter, nothing else.
    mapping.objective.endpoint = 0;
    mapping.objective.gradient_through_velocity = false;
    const auto student = started_network(meta_arch(arch));
    student->to(device);
    auto task = std::make_unique<MappingTask>(*network, student, mapping);
    return [step = std::make_shared<TrainingStep>(std::move(task), settings, 1e-3)](const Batch& batch) {
      (*step)(batch);
    };
  }
  network->eval();
  return [folded = fold(*network)](const Batch& batch) {
    torch::NoGradGuard no_grad;
    folded->forward(batch.images).sum().item<float>();
  };
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The sample's images, augmented as in training, epoch after epoch.
class EndlessLoader {
 public:
  EndlessLoader(const DataSplits& data, const BenchArguments& arguments)
      : loader_(data.train, settings(data, arguments)) {
    loader_.start_epoch(epoch_);
  }

  static LoaderSettings settings(const DataSplits& data, const BenchArguments& arguments) {
    LoaderSettings out;
    out.batch_size = arguments.batch;
    out.dtype = activation_type(arguments.runtime);
    out.normalisation = data.normalisation;
    return out;
  }

  Batch next() {
    for (;;) {
      if (auto batch = loader_.next()) return *batch;
      loader_.start_epoch(++epoch_);
    }
  }

 private:
  Loader loader_;
  int64_t epoch_ = 0;
};

rusage resources_used() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return used;
}

void bench(const BenchArguments& arguments) {
  if (arguments.loader && arguments.work == "eval")
    throw UsageError("--loader is for train and map: an evaluation takes its images without one");
  if (arguments.profile && arguments.runtime.device != "cpu")
    throw UsageError("--profile is for --device cpu: a GPU works on after its operations have returned");
  if (!arguments.model.empty() && arguments.work != "eval")
    throw UsageError("--model is for eval: train and map begin with random weights");
  apply_runtime(arguments.runtime);
  install_stop_handlers();
  const auto network = make_network(arguments);
  const int64_t width = arguments.model.empty() ? arguments.width : network->arch().stem_channels;
  const auto work = make_work(arguments, network);
  torch::manual_seed(1);
  auto batch = random_batch(network->arch(), arguments.batch, arguments.runtime);
  std::optional<EndlessLoader> loader;
  if (arguments.loader) loader.emplace(open_data({.dataset = "sample"}, {}), arguments);

  std::vector<double> times;
  double waited = 0;
  const auto step = [&] {
    throw_if_stopped();
    const auto start = Clock::now();
    if (loader) {
      batch = loader->next();
      waited += seconds_since(start);
      const torch::Device device(arguments.runtime.device);
      batch = {batch.images.to(device), batch.labels.to(device)};
    }
    work(batch);
    times.push_back(seconds_since(start));
  };

  // The first step makes what all others use, the second finds all memory it needs; a slow one need not show more.
  auto start = Clock::now();
  while (times.size() < 2 || (times.size() < 3 && seconds_since(start) < arguments.seconds)) step();
  times.clear();
  waited = 0;
  const auto before = resources_used();
  std::optional<OperationProfile> profile;
  if (arguments.profile) profile.emplace();
  start = Clock::now();
  while (times.size() < 2 || seconds_since(start) < arguments.seconds) step();
  const double seconds = seconds_since(start);
  const auto after = resources_used();

  const auto steps = times.size();
  std::sort(times.begin(), times.end());
  const double median = (times[(steps - 1) / 2] + times[steps / 2]) / 2;
  const double speed = static_cast<double>(arguments.batch) / median;
  std::cout << format(
      R"({"work":"%s","width":%lld,"batch":%lld,"mode":"mfi","precision":"%s","threads":%lld,"steps":%zu,"images_per_s":%.1f,)"
      R"("peak_memory_bytes":%lld,"minor_faults_per_step":%.1f)",
      arguments.work.c_str(), static_cast<long long>(width), static_cast<long long>(arguments.batch),
      arguments.runtime.precision.c_str(), static_cast<long long>(arguments.runtime.threads), steps, speed,
      1024LL * after.ru_maxrss, static_cast<double>(after.ru_minflt - before.ru_minflt) / static_cast<double>(steps));
  if (loader) std::cout << format(R"(,"waiting_percent":%.2f)", 100 * waited / seconds);
  std::cout << "}\n";
  if (profile) std::cout << '\n' << profile->table(static_cast<int64_t>(steps), seconds);
}

void load(const BenchArguments& arguments) {
  if (arguments.data.empty()) throw UsageError("load: --data FOLDER says which pictures");
  bench_loading({.folder = arguments.data,
                 .batch = arguments.batch,
                 .threads = arguments.runtime.threads,
                 .image_size = arguments.image_size,
                 .augment = arguments.augment,
                 .precision = arguments.runtime.precision,
                 .seconds = arguments.seconds});
}

}  // namespace

void add_bench_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("bench", "Images per second of a training, inference or mapping step");
  auto arguments = std::make_shared<BenchArguments>();
  constexpr const char *kEval = "For eval", *kLoad = "For load";
  command
      ->add_option("WORK", arguments->work,
                   "train: one training step; eval: one forward pass of the folded network; map: one mapping step of "
                   "all stages; load: pictures of a folder as batches")
      ->required()
      ->check(CLI::IsMember({"train", "eval", "map", "load"}));
  command->add_option("--arch", arguments->arch, "Network of random weights")
      ->type_name("NAME")
      ->check(CLI::IsMember(resnet_names()))
      ->capture_default_str();
  command->add_option("--width", arguments->width, "Channels of its first stage")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--model", arguments->model, "This model file instead of random weights")
      ->type_name("MODEL")
      ->group(kEval);
  command->add_option("--data", arguments->data, "The folder of pictures")->type_name("DIR")->group(kLoad);
  command->add_option("--image-size", arguments->image_size, "Pixels along a side; default: as a run chooses it")
      ->group(kLoad)
      ->check(CLI::Range(1, 4096));
  command->add_flag("--augment", arguments->augment, "As in training, not as evaluation sees them")->group(kLoad);
  command->add_option("--batch", arguments->batch, "Images a step, random 32x32 ones where nothing else is said")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--precision", arguments->runtime.precision, "Of the activations")
      ->check(CLI::IsMember({"bf16", "fp32"}))
      ->capture_default_str();
  command->add_option("--threads", arguments->runtime.threads, "Compute threads")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--device", arguments->runtime.device, "What computes")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--seconds", arguments->seconds, "Time to measure for, after a warm-up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--loader", arguments->loader,
                    "train, map: the sample's images, loaded and augmented as in training, instead of one random "
                    "batch; adds the share of the time that is spent waiting for them");
  command->add_flag(
      "--profile", arguments->profile,
      "Also show in a table which operations a step's time goes to; recording it slows a step down a bit");
  command->footer(
      "Prints one line of JSON; images_per_s is by the median step, faults are counted after the warm-up.\n\n"
      "Example:\n  mfi bench train --width 64 --seconds 20" +
      exit_codes_section({ExitCode::usage, ExitCode::not_found, ExitCode::checkpoint}));
  command->callback(
      [=, &action] { action = [=] { arguments->work == "load" ? load(*arguments) : bench(*arguments); }; });
}

}  // namespace mfi
