#include "mfi/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <limits>
#include <sstream>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/classification_task.h"
#include "mfi/train/test_data.h"

namespace mfi {
namespace {

using testing::HasSubstr;

std::shared_ptr<Network> small_network() {
  auto arch = resnet_arch("resnet20", 4, 2);
  arch.image_size = 8;
  auto net = std::make_shared<Network>(arch);
  initialise(*net, 1);
  return net;
}

// One training of a small network in a folder.
struct SmallTraining {
  Dataset data = made_up_dataset(64, 2);
  Dataset validation = made_up_dataset(20, 2, 1);
  std::shared_ptr<Network> net = small_network();
  TrainJob job;

  SmallTraining(const std::filesystem::path& folder, const std::string& optimiser, double ema,
                const std::string& precision) {
    job.step = "teacher";
    job.settings.epochs = 4;
    job.settings.batch_size = 16;
    job.settings.optimiser = optimiser;
    job.settings.learning_rate = 0.01;
    job.settings.ema = ema;
    job.runtime.precision = precision;
    job.seed = 3;
    job.train = &data;
    job.validation = &validation;
    job.normalisation = {{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
    job.folder = folder;
    job.fingerprint = "one";
  }

  ClassificationTask task() {
    return ClassificationTask(net, std::vector<Learns>(net->part_count(), Learns::all), job.settings, nullptr,
                              job.normalisation, activation_type(job.runtime));
  }
};

// The process dies after epoch `epoch`: nothing after that line of code runs.
class StopAfter : public Observer {
 public:
  explicit StopAfter(int64_t epoch) : epoch_(epoch) {}
  void on_epoch(const std::string&, const Metrics& row) override {
    if (row.at(0).second == static_cast<double>(epoch_)) throw std::runtime_error("killed");
  }

 private:
  int64_t epoch_;
};

// Trains until epoch `epoch` is saved.
void interrupt(SmallTraining& training, int64_t epoch) {
  StopAfter stop(epoch);
  auto task = training.task();
  EXPECT_THROW(train(task, training.job, stop), std::runtime_error);
}

class Messages : public Observer {
 public:
  void on_message(const std::string& text) override { all += text + "\n"; }
  void on_epoch(const std::string&, const Metrics&) override { ++epochs; }
  std::string all;
  int epochs = 0;
};

void expect_same_weights(const Network& a, const Network& b) {
  const auto ta = named_tensors(a), tb = named_tensors(b);
  for (size_t i = 0; i < ta.size(); ++i) EXPECT_TRUE(torch::equal(ta[i].second, tb[i].second)) << ta[i].first;
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

class Resume : public testing::TestWithParam<std::tuple<const char*, double, const char*>> {};

TEST_P(Resume, EqualsNeverInterruptedToTheByte) {
  const auto [optimiser, ema, precision] = GetParam();
  const TestFolder whole, cut;
  SmallTraining a(whole.path(), optimiser, ema, precision);
  Messages messages;
  {
    auto task = a.task();
    train(task, a.job, messages);
  }
  for (const int64_t epoch : {1, 3}) {
    SmallTraining b(cut.path(), optimiser, ema, precision);
    interrupt(b, epoch);
  }
  SmallTraining c(cut.path(), optimiser, ema, precision);
  auto task = c.task();
  const auto outcome = train(task, c.job, messages);
  expect_same_weights(*a.net, *c.net);
  EXPECT_EQ(outcome.rows.size(), 4u);
  EXPECT_THAT(messages.all, HasSubstr("going on after epoch 3 of 4"));
}

INSTANTIATE_TEST_SUITE_P(EverySetting, Resume,
                         testing::Combine(testing::Values("adamw", "sgd"), testing::Values(0.0, 0.9),
                                          testing::Values("fp32", "bf16")));

TEST(Training, WithTheSameSeedGivesTheSameBytes) {
  const TestFolder first, second, third;
  Messages messages;
  SmallTraining a(first.path(), "adamw", 0, "bf16"), b(second.path(), "adamw", 0, "bf16"),
      c(third.path(), "adamw", 0, "bf16");
  c.job.seed = 4;
  for (auto* setup : {&a, &b, &c}) {
    auto task = setup->task();
    train(task, setup->job, messages);
  }
  expect_same_weights(*a.net, *b.net);
  EXPECT_FALSE(torch::equal(a.net->parameters()[0], c.net->parameters()[0])) << "another seed gave the same weights";
}

TEST(Training, LearnsAnEasyDataSet) {
  const TestFolder folder;
  SmallTraining setup(folder.path(), "adamw", 0, "fp32");
  setup.job.settings.epochs = 15;
  Messages messages;
  auto task = setup.task();
  train(task, setup.job, messages);
  EXPECT_GT(task.evaluate(setup.validation)[0].second, 95);
}

TEST(Metrics, HaveOneLineAnEpochAndNoneTwiceAfterResuming) {
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  interrupt(a, 2);
  SmallTraining b(folder.path(), "sgd", 0, "fp32");
  auto task = b.task();
  Messages messages;
  train(task, b.job, messages);
  const auto csv = text_of(folder.path() / "metrics.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5) << csv;
  EXPECT_THAT(csv, testing::StartsWith("epoch,learning_rate,loss,train_percent,seconds,images_per_second,"
                                       "validation_top1_percent,validation_loss\n1,"));
}

TEST(Resume, StartsAnewWhenSettingsHaveChanged) {
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  interrupt(a, 2);
  SmallTraining b(folder.path(), "sgd", 0, "fp32");
  b.job.fingerprint = "two";
  auto task = b.task();
  Messages messages;
  train(task, b.job, messages);
  EXPECT_EQ(messages.epochs, 4);
  EXPECT_THAT(messages.all, HasSubstr("starting it anew"));
}

TEST(Training, StopsAtALossThatIsNotFiniteAndKeepsTheLastState) {
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  interrupt(a, 2);
  const auto before = text_of(folder.path() / "state.safetensors");
  // A task whose loss turns into NaN from its third epoch on.
  class Poisoned : public ClassificationTask {
   public:
    using ClassificationTask::ClassificationTask;
    StepLosses step(const Batch& batch, const StepPosition& position) override {
      auto out = ClassificationTask::step(batch, position);
      if (position.epoch == 2 && position.batch == 1)
        out.losses[0] = out.losses[0] * std::numeric_limits<double>::quiet_NaN();
      return out;
    }
  };
  SmallTraining b(folder.path(), "sgd", 0, "fp32");
  Poisoned task(b.net, std::vector<Learns>(b.net->part_count(), Learns::all), b.job.settings, nullptr,
                b.job.normalisation, torch::kFloat32);
  Messages messages;
  try {
    train(task, b.job, messages);
    FAIL() << "went on";
  } catch (const DivergedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("epoch 3, batch 2"));
    EXPECT_EQ(error.exit_code(), ExitCode::diverged);
  }
  EXPECT_EQ(text_of(folder.path() / "state.safetensors"), before);
}

TEST(Training, EndsPolitelyOnSigterm) {
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  auto task = a.task();
  Messages messages;
  // In a child: the flag that a signal sets stays set.
  EXPECT_EXIT(
      {
        install_stop_handlers();
        std::raise(SIGTERM);
        try {
          train(task, a.job, messages);
        } catch (const Error& error) {
          std::exit(static_cast<int>(error.exit_code()));
        }
        std::exit(0);
      },
      testing::ExitedWithCode(143), "");
}

}  // namespace
}  // namespace mfi
