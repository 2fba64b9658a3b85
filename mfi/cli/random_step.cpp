#include "mfi/cli/random_step.h"

#include "mfi/train/trainer.h"

namespace mfi {

std::shared_ptr<Network> started_network(const Arch& arch) {
  auto network = std::make_shared<Network>(arch);
  initialise(*network, 1);
  return network;
}

Batch random_batch(const Arch& arch, int64_t images, const RuntimeSettings& runtime) {
  const torch::Device device(runtime.device);
  Batch batch;
  batch.images = torch::randn({images, arch.in_channels, arch.image_size, arch.image_size})
                     .to(device, activation_type(runtime))
                     .contiguous(torch::MemoryFormat::ChannelsLast);
  batch.labels = torch::randint(arch.classes, {images}, torch::kInt64).to(device);
  return batch;
}

TrainingStep::TrainingStep(std::unique_ptr<Task> task, const StepSettings& settings, double learning_rate)
    : task_(std::move(task)), learning_rate_(learning_rate) {
  for (const auto& set : task_->parameter_sets()) optimisers_.emplace_back(set, settings);
  task_->set_training_mode();
}

void TrainingStep::operator()(const Batch& batch) {
  for (auto& optimiser : optimisers_) optimiser.zero_grad();
  torch::Tensor last;
  task_->losses(batch, {0, steps_++}, [&](const torch::Tensor& loss) {
    loss.backward();
    last = loss.detach();
  });
  for (auto& optimiser : optimisers_) optimiser.step(learning_rate_);
  last.item<float>();  // waits for a GPU
}

}  // namespace mfi
