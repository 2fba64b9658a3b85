// Maps one stage of a network of one's own: a row of residual blocks, of which mfi knows nothing, becomes one MeanFlow
// module that does the same in a single step. Ends with exit code 1 if it does not.
//
// usage: map_one_stage [FOLDER]      FOLDER: for the training's state; default map_one_stage.run
//
// Given the same folder again, a training that was interrupted goes on, and one that is done is not done again.
#include <torch/nn/init.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cstdio>
#include <cstdlib>

#include "mfi/core/error.h"
#include "mfi/train/stage_mapping_task.h"
#include "mfi/train/trainer.h"

namespace {

// ---- The network of one's own, in plain torch::nn ----

torch::nn::Conv2d conv3x3(int64_t in, int64_t out, int64_t stride = 1) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false));
}

struct BlockImpl : torch::nn::Module {
  explicit BlockImpl(int64_t channels)
      : conv1(register_module("conv1", conv3x3(channels, channels))),
        conv2(register_module("conv2", conv3x3(channels, channels))),
        norm1(register_module("norm1", torch::nn::BatchNorm2d(channels))),
        norm2(register_module("norm2", torch::nn::BatchNorm2d(channels))) {
    // A block changes its input by a little, as those of trained networks do.
    torch::nn::init::constant_(norm2->weight, 0.3);
  }

  torch::Tensor forward(const torch::Tensor& x) { return (norm2(conv2(norm1(conv1(x)).relu())) + x).relu(); }

  torch::nn::Conv2d conv1, conv2;
  torch::nn::BatchNorm2d norm1, norm2;
};
TORCH_MODULE(Block);

struct MyNetworkImpl : torch::nn::Module {
  MyNetworkImpl() {
    for (int i = 0; i < 4; ++i) blocks.push_back(register_module("block" + std::to_string(i), Block(16)));
  }

  // What comes before the stage, and the stage.
  torch::Tensor before(const torch::Tensor& images) { return norm(stem(images)).relu(); }
  torch::Tensor stage(torch::Tensor x) {
    for (auto& block : blocks) x = block(x);
    return x;
  }

  torch::nn::Conv2d stem = register_module("stem", conv3x3(3, 16, /*stride=*/2));
  torch::nn::BatchNorm2d norm = register_module("norm", torch::nn::BatchNorm2d(16));
  std::vector<Block> blocks;
  // And a head, which mapping has no need of.
};
TORCH_MODULE(MyNetwork);

// One line an epoch.
class Printer : public mfi::Observer {
 public:
  void on_epoch(const std::string& step, const mfi::Metrics& row) override {
    std::printf("%s:", step.c_str());
    for (const auto& [name, value] : row)
      if (name == "epoch" || name == "loss" || name == "validation_error_1step")
        std::printf("  %s %.3g", name.c_str(), value);
    std::printf("\n");
  }
  void on_message(const std::string& text) override { std::printf("%s\n", text.c_str()); }
};

int map_one_stage(const std::filesystem::path& folder) {
  // Pictures: the small set that comes with mfi. A Dataset is nothing but a tensor of bytes and one of labels, which
  // mapping does not look at, so one of your own is as good.
  const auto pictures = mfi::open_data({.dataset = "sample"}, /*folder=*/{});

  // Random weights stand for trained ones here; yours come from torch::load. A few batches give the batch norms the
  // statistics of what they see; from then on the network must not change, so it is in eval mode.
  torch::manual_seed(1);
  MyNetwork network;
  {
    torch::NoGradGuard no_grad;
    mfi::Loader loader(pictures.train, {.normalisation = pictures.normalisation});
    loader.start_epoch(0);
    while (const auto batch = loader.next()) network->stage(network->before(batch->images));
  }
  network->eval();

  // All that mfi asks for: for a batch of images, what goes into the stage and what comes out.
  const mfi::StageTeacher teacher = [network](const torch::Tensor& images) mutable {
    const auto input = network->before(images);
    return mfi::StageFeatures{input, network->stage(input)};
  };

  // One module that takes one step. Its shape follows from the features of a single image.
  const mfi::FlowArch flow{.hidden = 48, .modules = 1, .steps = 1};
  const auto features = teacher(torch::zeros({1, 3, 32, 32}));
  auto stage = std::make_shared<mfi::FlowStage>(mfi::matching_flow_stage(features, flow), /*folded=*/false);
  mfi::initialise(*stage, /*seed=*/1);

  mfi::MappingSettings settings;
  settings.normalisation = pictures.normalisation;
  mfi::StageMappingTask task(teacher, stage, settings);

  mfi::TrainJob job;
  job.step = "stage";
  job.settings = {.epochs = 4, .batch_size = 64, .learning_rate = 4e-3};
  job.runtime.precision = "fp32";  // of the images that the teacher gets
  job.train = &pictures.train;
  job.validation = &pictures.test;
  job.normalisation = pictures.normalisation;
  job.folder = folder;
  job.fingerprint = "map_one_stage 1";  // change it when anything above changes, and no old state is taken up

  // ||mapped - target|| / ||target|| over the test pictures, which training has not seen.
  const auto error = [&] { return task.evaluate(pictures.test).front().second; };
  const double before = error();
  Printer printer;
  mfi::train(task, job, printer);
  const double after = error();

  const auto count = [](const torch::nn::Module& module) {
    int64_t parameters = 0;
    for (const auto& tensor : module.parameters()) parameters += tensor.numel();
    return parameters;
  };
  int64_t in_blocks = 0;
  for (const auto& block : network->blocks) in_blocks += count(*block);
  std::printf("relative endpoint error: %.3f before, %.3f after\n", before, after);
  std::printf("parameters: %lld in four blocks, %lld in the flow stage\n", static_cast<long long>(in_blocks),
              static_cast<long long>(count(*stage)));
  // From here on stage->forward(x) takes the place of network->stage(x).
  if (after < 0.5 * before) return EXIT_SUCCESS;
  std::fprintf(stderr, "map_one_stage: the stage was not learnt\n");
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return map_one_stage(argc > 1 ? argv[1] : "map_one_stage.run");
  } catch (const mfi::Error& error) {
    std::fprintf(stderr, "map_one_stage: %s\n", error.what());
    return static_cast<int>(error.exit_code());
  }
}
