// What makes each epoch of a short training count: Lookahead, smaller images first, whitening.
#include <gtest/gtest.h>

#include "mfi/data/augment.h"
#include "mfi/nn/network.h"
#include "mfi/train/classification_task.h"
#include "mfi/train/lookahead.h"
#include "mfi/train/smaller_images.h"
#include "mfi/train/test_data.h"
#include "mfi/train/trainer.h"
#include "mfi/train/whitening.h"

namespace mfi {
namespace {

class OneWeight : public torch::nn::Module {
 public:
  OneWeight() { weight = register_parameter("weight", torch::zeros({1})); }
  void set(double value) {
    torch::NoGradGuard no_grad;
    weight.fill_(value);
  }
  double get() const { return weight.item<double>(); }
  torch::Tensor weight;
};

TEST(Lookahead, GoesHalfTheWayAfterSoManySteps) {
  OneWeight module;
  Lookahead lookahead(module, 3);
  for (const double ahead : {1.0, 2.0}) {
    module.set(ahead);
    lookahead.update();
    EXPECT_EQ(module.get(), ahead);
  }
  module.set(4);
  lookahead.update();
  EXPECT_EQ(module.get(), 2);  // half way from 0 to 4
  for (const double ahead : {5.0, 5.0, 6.0}) {
    module.set(ahead);
    lookahead.update();
  }
  EXPECT_EQ(module.get(), 4);  // from 2 to 6
}

StepSettings small_first() {
  StepSettings settings;
  settings.epochs = 10;
  settings.small_until = 0.6;
  return settings;
}

TEST(SmallerImages, AreSeenInTheFirstEpochs) {
  const auto settings = small_first();
  EXPECT_EQ(side_in_epoch(settings, 0, 32), 24);
  EXPECT_EQ(side_in_epoch(settings, 5, 32), 24);
  EXPECT_EQ(side_in_epoch(settings, 6, 32), 32);
  EXPECT_EQ(side_in_epoch({}, 0, 32), 32) << "none are asked for";
}

TEST(SmallerImages, HaveAMultipleOfFourPixels) {
  auto settings = small_first();
  EXPECT_EQ(side_in_epoch(settings, 0, 30), 24);
  EXPECT_EQ(side_in_epoch(settings, 0, 224), 168);
  settings.small_side = 0.25;
  EXPECT_EQ(side_in_epoch(settings, 0, 8), 4);
  EXPECT_EQ(side_in_epoch(settings, 0, 3), 4) << "the least; images of 3 pixels are nobody's";
}

TEST(SmallerImages, AreCountedByTheirPixelsInWhatIsLeft) {
  const auto settings = small_first();
  const double full = 32.0 * 32 / (24 * 24);
  EXPECT_DOUBLE_EQ(epochs_of_work_left(settings, 0, 0.5, 32), 0.5 + 5 + 4 * full);
  EXPECT_DOUBLE_EQ(epochs_of_work_left(settings, 5, 0.25, 32), 0.75 + 4 * full);
  EXPECT_DOUBLE_EQ(epochs_of_work_left(settings, 8, 0.5, 32), 1.5);
}

TEST(SmallerImages, AreMeansOfWhatTheyCover) {
  const auto images = torch::randn({2, 3, 8, 8}).contiguous(torch::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(resized_to(images, 8).is_same(images));
  const auto half = resized_to(images, 4);
  EXPECT_EQ(half.sizes(), (torch::IntArrayRef{2, 3, 4, 4}));
  EXPECT_TRUE(half.is_contiguous(torch::MemoryFormat::ChannelsLast));
  // A constant stays one, and a value in the middle is a weighted mean around it: at half the size a triangle of four
  // pixels along each side with the weights 1, 3, 3, 1.
  EXPECT_TRUE(torch::allclose(resized_to(torch::full({1, 3, 8, 8}, 0.5), 4), torch::full({1, 3, 4, 4}, 0.5)));
  const auto weights = torch::tensor({1.0f, 3.0f, 3.0f, 1.0f}) / 8;
  const auto part = images[0][1].slice(0, 1, 5).slice(1, 1, 5);
  const auto expected = weights.matmul(part).matmul(weights);
  EXPECT_NEAR(half[0][1][1][1].item<double>(), expected.item<double>(), 1e-6);
  EXPECT_EQ(resized_to(images.to(torch::kBFloat16), 4).scalar_type(), torch::kBFloat16);
}

// The task of a training that writes down what it is shown.
class Watching : public ClassificationTask {
 public:
  using ClassificationTask::ClassificationTask;
  int64_t losses(const Batch& batch, const StepPosition& position, const LossSink& take) override {
    sides.push_back(batch.images.size(2));
    full_sides.push_back(batch.full_size.defined() ? batch.full_size.size(2) : 0);
    done.push_back(position.done);
    return ClassificationTask::losses(batch, position, take);
  }
  std::vector<int64_t> sides, full_sides;
  std::vector<double> done;
};

std::shared_ptr<Network> small_network() {
  const auto net = std::make_shared<Network>(resnet_arch("resnet20", 8, 2));
  initialise(*net, 1);
  return net;
}

TEST(SmallerImages, ComeToTheTaskAndTheWholeOnesBesideThem) {
  const TestFolder folder;
  const auto data = made_up_dataset(32, 2);
  TrainJob job;
  job.step = "teacher";
  job.settings.epochs = 2;
  job.settings.batch_size = 16;
  job.settings.small_until = 0.5;
  job.settings.small_side = 0.5;
  job.settings.lookahead = 2;
  job.settings.flip = "alternating";
  job.runtime.precision = "fp32";
  job.train = &data;
  job.folder = folder.path();
  const auto net = small_network();
  Watching task(net, std::vector<Learns>(net->part_count(), Learns::all), job.settings, nullptr, Normalisation{},
                torch::kFloat32);
  Observer silent;
  train(task, job, silent);
  EXPECT_EQ(task.sides, (std::vector<int64_t>{4, 4, 8, 8}));
  EXPECT_EQ(task.full_sides, (std::vector<int64_t>{8, 8, 0, 0}));
  EXPECT_EQ(task.done, (std::vector<double>{0, 0.25, 0.5, 0.75}));
}

TEST(WhitenStem, GivesFiltersThatSeeUncorrelatedThings) {
  const auto data = made_up_dataset(200, 2);
  const Normalisation normalisation{{0.4f, 0.4f, 0.4f}, {0.3f, 0.2f, 0.25f}};
  const auto net = small_network();
  const auto before = dynamic_cast<Stem&>(*net->part(0)).conv->conv->weight.detach().clone();
  whiten_stem(*net, data, normalisation);
  const auto weight = dynamic_cast<Stem&>(*net->part(0)).conv->conv->weight.detach();

  EXPECT_TRUE(torch::allclose(weight[0], -weight[1]));
  const auto filters = weight.reshape({8, -1});
  const double norm = before.pow(2).sum().div(8).sqrt().item<double>();
  EXPECT_TRUE(torch::allclose(filters.norm(2, 1), torch::full({8}, norm), 1e-4));

  // What they answer to the images, one of each pair: no correlation, falling variance.
  const auto pixels = normalise(data.images, normalisation, torch::kFloat32);
  const auto answers = torch::conv2d(pixels, weight).index_select(1, torch::tensor({0, 2, 4, 6}));
  const auto flat = answers.transpose(0, 1).reshape({4, -1}).to(torch::kFloat64);
  const auto centred = flat - flat.mean(1, true);
  const auto covariance = centred.matmul(centred.t()) / flat.size(1);
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < i; ++j) {
      EXPECT_LT(covariance[i][j].abs().item<double>(), 1e-3 * covariance[0][0].item<double>()) << i << " " << j;
      EXPECT_LE(covariance[i][i].item<double>(), covariance[j][j].item<double>() * 1.001) << i << " " << j;
    }
}

}  // namespace
}  // namespace mfi
