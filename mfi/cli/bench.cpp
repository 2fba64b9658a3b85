// mfi bench
#include "mfi/core/torch.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/random_step.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/nn/fold.h"
#include "mfi/pipeline/machine.h"
#include "mfi/train/classification_task.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/trainer.h"

namespace mfi {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kClasses = 10;

struct BenchArguments {
  std::string work, arch = "resnet34";
  int64_t width = 16, batch = 128;
  double seconds = 10;
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

std::function<void(const Batch&)> make_work(const BenchArguments& arguments) {
  const auto dtype = activation_type(arguments.runtime);
  const torch::Device device(arguments.runtime.device);
  const auto arch = resnet_arch(arguments.arch, arguments.width, kClasses);
  const auto network = started_network(arch);
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

void bench(const BenchArguments& arguments) {
  apply_runtime(arguments.runtime);
  install_stop_handlers();
  const auto work = make_work(arguments);
  torch::manual_seed(1);
  const auto batch =
      random_batch(resnet_arch(arguments.arch, arguments.width, kClasses), arguments.batch, arguments.runtime);

  for (int i = 0; i < 3; ++i) work(batch);
  std::vector<double> times;
  const auto end = Clock::now() + std::chrono::duration<double>(arguments.seconds);
  while (Clock::now() < end || times.size() < 3) {
    throw_if_stopped();
    const auto start = Clock::now();
    work(batch);
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  const double speed = static_cast<double>(arguments.batch) / times[times.size() / 2];
  std::cout << format(
      R"({"work":"%s","width":%lld,"batch":%lld,"mode":"mfi","precision":"%s","threads":%lld,"steps":%zu,"images_per_s":%.1f})"
      "\n",
      arguments.work.c_str(), static_cast<long long>(arguments.width), static_cast<long long>(arguments.batch),
      arguments.runtime.precision.c_str(), static_cast<long long>(arguments.runtime.threads), times.size(), speed);
}

}  // namespace

void add_bench_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("bench", "Images per second of a training, inference or mapping step");
  auto arguments = std::make_shared<BenchArguments>();
  command
      ->add_option("WORK", arguments->work,
                   "train: one training step; eval: one forward pass of the folded network; map: one mapping step of "
                   "all stages")
      ->required()
      ->check(CLI::IsMember({"train", "eval", "map"}));
  command->add_option("--arch", arguments->arch, "Network of random weights")->capture_default_str();
  command->add_option("--width", arguments->width, "Channels of its first stage")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--batch", arguments->batch, "Random 32x32 images a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--precision", arguments->runtime.precision, "Of the activations")
      ->check(CLI::IsMember({"bf16", "fp32"}))
      ->capture_default_str();
  command->add_option("--threads", arguments->runtime.threads, "Compute threads")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--device", arguments->runtime.device, "cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--seconds", arguments->seconds, "Time to measure for, after a warm-up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->footer(
      "Prints one line of JSON; images_per_s is by the median step.\n\n"
      "Example:\n  mfi bench train --width 64 --seconds 20");
  command->callback([=, &action] { action = [=] { bench(*arguments); }; });
}

}  // namespace mfi
