#include "mfi/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/classification_task.h"
#include "mfi/train/test_data.h"
#include "mfi/train/training_state.h"

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

enum class Poison { loss, gradient, statistic, input };

// A task in which something turns into NaN in one batch.
class PoisonedTask : public ClassificationTask {
 public:
  PoisonedTask(SmallTraining& training, int64_t epoch, int64_t batch, Poison poison)
      : ClassificationTask(training.net, std::vector<Learns>(training.net->part_count(), Learns::all),
                           training.job.settings, nullptr, training.job.normalisation, torch::kFloat32),
        epoch_(epoch),
        batch_(batch),
        poison_(poison) {}

  int64_t times = 1;  // how often it does so
  int64_t at = -1;    // which image of the batch, of an input

  int64_t losses(const Batch& batch, const StepPosition& position, const LossSink& take) override {
    const bool now = times > 0 && position.epoch == epoch_ && position.batch == batch_;
    if (now && poison_ == Poison::input) batch.images[at].fill_(std::numeric_limits<float>::infinity());
    if (!now) return ClassificationTask::losses(batch, position, take);
    --times;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return ClassificationTask::losses(batch, position, [&](const torch::Tensor& loss) {
      // The loss stays what it is; its gradient does not.
      if (poison_ == Poison::gradient) loss.register_hook([=](torch::Tensor g) { return g * nan; });
      take(poison_ == Poison::loss ? loss * nan : loss);
      if (poison_ == Poison::statistic) student().buffers()[1].fill_(nan);
    });
  }

 private:
  int64_t epoch_, batch_;
  Poison poison_;
};

PoisonedTask poisoned(SmallTraining& training, int64_t epoch, int64_t batch, Poison poison) {
  return PoisonedTask(training, epoch, batch, poison);
}

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

std::filesystem::path newest_state(const std::filesystem::path& folder) {
  const auto found = StateFiles(folder).peek();
  EXPECT_TRUE(found);
  return found ? found->file : "";
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

TEST(Resume, HoldsForWhatShortTrainingsAreMadeOf) {
  const TestFolder whole, cut;
  const auto training = [](const std::filesystem::path& folder) {
    auto out = std::make_unique<SmallTraining>(folder, "sgd", 0, "fp32");
    out->job.settings.lookahead = 3;  // four batches an epoch: its place matters
    out->job.settings.small_until = 0.5;
    out->job.settings.small_side = 0.5;
    out->job.settings.flip = "alternating";
    return out;
  };
  Messages messages;
  const auto a = training(whole.path());
  {
    auto task = a->task();
    train(task, a->job, messages);
  }
  for (const int64_t epoch : {1, 3}) {
    const auto b = training(cut.path());
    interrupt(*b, epoch);
  }
  const auto c = training(cut.path());
  {
    auto task = c->task();
    train(task, c->job, messages);
  }
  expect_same_weights(*a->net, *c->net);
  // Each of the three does something.
  for (const int what : {0, 1, 2}) {
    const TestFolder other;
    const auto d = training(other.path());
    if (what == 0) d->job.settings.lookahead = 0;
    if (what == 1) d->job.settings.small_until = 0;
    if (what == 2) d->job.settings.flip = "random";
    auto task = d->task();
    train(task, d->job, messages);
    EXPECT_FALSE(torch::equal(d->net->parameters()[0], a->net->parameters()[0])) << what;
  }
}

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
  EXPECT_THAT(
      csv, testing::StartsWith("epoch,learning_rate,loss,train_percent,validation_top1_percent,validation_loss\n1,"));
  EXPECT_THAT(text_of(folder.path() / "timing.csv"),
              testing::StartsWith("epoch,seconds,images_per_second,wall_time\n1,"));
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
  const auto before = text_of(newest_state(folder.path()));
  SmallTraining b(folder.path(), "sgd", 0, "fp32");
  auto task = poisoned(b, 2, 1, Poison::loss);
  Messages messages;
  try {
    train(task, b.job, messages);
    FAIL() << "went on";
  } catch (const DivergedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("epoch 3, batch 2"));
    EXPECT_EQ(error.exit_code(), ExitCode::diverged);
  }
  EXPECT_EQ(text_of(newest_state(folder.path())), before);
}

class NotFinite : public testing::TestWithParam<std::pair<Poison, const char*>> {};

TEST_P(NotFinite, StopsTheStepBeforeItReachesAStateAndNamesBatchAndImages) {
  const auto [poison, what] = GetParam();
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  a.job.checkpoint.minutes = 1e-9;  // after every batch
  auto task = poisoned(a, 1, 2, poison);
  task.at = 5;
  Messages messages;
  const auto message = message_of<DivergedError>([&] { train(task, a.job, messages); });
  EXPECT_THAT(message, HasSubstr(what));
  EXPECT_THAT(message, HasSubstr("in epoch 2, batch 3 ("));
  EXPECT_THAT(message, HasSubstr("The state after batch 2 of epoch 2 of 4 is kept"));
  EXPECT_THAT(text_of(folder.path() / "nonfinite.json"), HasSubstr("\"training_images\": ["));
  SmallTraining b(folder.path(), "sgd", 0, "fp32");
  auto healthy = b.task();
  train(healthy, b.job, messages);
  EXPECT_THAT(messages.all, HasSubstr("going on after batch 2 of epoch 2 of 4"));
  for (const auto& [name, tensor] : named_tensors(*b.net)) EXPECT_TRUE(at::isfinite(tensor).all().item<bool>()) << name;
}

INSTANTIATE_TEST_SUITE_P(Wherever, NotFinite,
                         testing::Values(std::pair{Poison::loss, "the loss of network is nan"},
                                         std::pair{Poison::gradient, "the gradient of "},
                                         std::pair{Poison::statistic, "running_"},
                                         std::pair{Poison::input, "not finite themselves: training images "}));

TEST(NotFinite, NamesTheRecipesSectionWhereThatIsNotTheStepsName) {
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  a.job.step = "tune-3";
  a.job.section = "hybrid";
  auto task = poisoned(a, 0, 1, Poison::loss);
  Messages messages;
  const auto message = message_of<DivergedError>([&] { train(task, a.job, messages); });
  EXPECT_THAT(message, testing::StartsWith("tune-3: "));
  EXPECT_THAT(message, HasSubstr("Try a lower learning rate (hybrid.learning_rate is "));
}

TEST(NotFinite, IsRewoundWithALowerLearningRate) {
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  a.job.on_nonfinite = OnNonfinite::rewind;
  auto task = poisoned(a, 2, 1, Poison::loss);
  Messages messages;
  const auto outcome = train(task, a.job, messages);
  EXPECT_EQ(outcome.rows.size(), 4u);
  EXPECT_THAT(messages.all,
              HasSubstr("going on after epoch 2 of 4\nteacher: from here on with 0.5 times the learning"));
  SmallTraining b(folder / "whole", "sgd", 0, "fp32");
  auto healthy = b.task();
  const auto whole = train(healthy, b.job, messages);
  EXPECT_EQ(outcome.rows[1], whole.rows[1]);
  EXPECT_EQ(outcome.rows[2][1].second, whole.rows[2][1].second / 2);  // learning_rate
}

TEST(NotFinite, EndsWhenGoingBackDoesNotHelp) {
  const TestFolder folder;
  SmallTraining a(folder.path(), "sgd", 0, "fp32");
  a.job.on_nonfinite = OnNonfinite::rewind;
  auto task = poisoned(a, 0, 1, Poison::loss);
  task.times = 100;
  Messages messages;
  EXPECT_THAT(message_of<DivergedError>([&] { train(task, a.job, messages); }),
              HasSubstr("given up after going back 5 times"));
}

// The process dies in the batch of this number, over all epochs.
class DiesInBatch : public Observer {
 public:
  explicit DiesInBatch(int64_t batch) : batch_(batch) {}
  void on_progress(const Progress&) override {
    if (--batch_ == 0) throw std::runtime_error("killed");
  }

 private:
  int64_t batch_;
};

// 4 batches an epoch; with a state after each batch, whichever of them was the last.
TEST(Resume, WithinAnEpochEqualsNeverInterruptedToTheByte) {
  const TestFolder folder;
  SmallTraining whole(folder / "whole", "adamw", 0.9, "bf16");
  Messages messages;
  auto task = whole.task();
  const auto expected = train(task, whole.job, messages);
  for (const int64_t batch : {1, 2, 4, 5, 7, 16}) {
    SmallTraining cut(folder / std::to_string(batch), "adamw", 0.9, "bf16");
    cut.job.checkpoint.minutes = 1e-9;
    DiesInBatch dies(batch);
    auto first = cut.task();
    EXPECT_THROW(train(first, cut.job, dies), std::runtime_error);
    SmallTraining rest(folder / std::to_string(batch), "adamw", 0.9, "bf16");
    auto second = rest.task();
    const auto outcome = train(second, rest.job, messages);
    expect_same_weights(*whole.net, *rest.net);
    EXPECT_EQ(outcome.rows, expected.rows) << batch;
    EXPECT_EQ(text_of(folder / std::to_string(batch) / "metrics.csv"), text_of(folder / "whole/metrics.csv")) << batch;
  }
  EXPECT_THAT(messages.all, HasSubstr("going on after batch 2 of epoch 2 of 4"));
}

TEST(Resume, TakesTheStateBeforeADamagedOneWithAWarning) {
  const TestFolder folder;
  SmallTraining whole(folder / "whole", "sgd", 0, "fp32"), cut(folder / "cut", "sgd", 0, "fp32");
  Messages messages;
  auto task = whole.task();
  train(task, whole.job, messages);
  interrupt(cut, 3);
  const auto newest = newest_state(folder / "cut");
  auto bytes = text_of(newest);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(newest) << bytes;
  SmallTraining rest(folder / "cut", "sgd", 0, "fp32");
  auto again = rest.task();
  train(again, rest.job, messages);
  EXPECT_THAT(messages.all,
              HasSubstr("is not as it was written (its checksum differs); the file is damaged; taking the "
                        "state before it, saved after epoch 2 of 4"));
  expect_same_weights(*whole.net, *rest.net);
}

TEST(Resume, EndsWhenBothStatesAreDamaged) {
  const TestFolder folder;
  SmallTraining cut(folder.path(), "sgd", 0, "fp32");
  interrupt(cut, 3);
  for (const char* name : {"state-a.safetensors", "state-b.safetensors"}) std::ofstream(folder / name) << "damaged";
  SmallTraining rest(folder.path(), "sgd", 0, "fp32");
  auto task = rest.task();
  Messages messages;
  EXPECT_THAT(message_of<CheckpointError>([&] { train(task, rest.job, messages); }),
              HasSubstr("to train the step anew, remove "));
}

TEST(Resume, ExtendsATrainingAndSaysWhatThatChanges) {
  const TestFolder folder;
  SmallTraining shorter(folder.path(), "sgd", 0, "fp32");
  shorter.job.family = "family";
  Messages messages;
  auto task = shorter.task();
  train(task, shorter.job, messages);
  SmallTraining longer(folder.path(), "sgd", 0, "fp32");
  longer.job.family = "family";
  longer.job.fingerprint = "of six epochs";
  longer.job.settings.epochs = 6;
  auto more = longer.task();
  EXPECT_EQ(train(more, longer.job, messages).rows.size(), 6u);
  EXPECT_THAT(messages.all, HasSubstr("extended from 4 to 6 epochs. Its learning rate follows the longer schedule"));
  EXPECT_THAT(messages.all, HasSubstr("going on after epoch 4 of 4"));
}

TEST(Resume, IsRefusedOnAnotherMachineWhereTheBytesHaveToBeTheSame) {
  const TestFolder folder;
  SmallTraining cut(folder.path(), "sgd", 0, "fp32");
  cut.job.environment = "one machine";
  interrupt(cut, 2);
  SmallTraining rest(folder.path(), "sgd", 0, "fp32");
  rest.job.environment = "another machine";
  rest.job.repeatable = true;
  bool begun = false;
  rest.job.begin = [&] { begun = true; };
  auto task = rest.task();
  Messages messages;
  EXPECT_THAT(message_of<UsageError>([&] { train(task, rest.job, messages); }),
              HasSubstr("saved by one machine, this is another machine; with --repeatable"));
  EXPECT_FALSE(begun) << "nothing may be lost by it";
  rest.job.repeatable = false;
  auto again = rest.task();
  train(again, rest.job, messages);
  EXPECT_TRUE(begun);
  EXPECT_THAT(messages.all, HasSubstr("may differ by rounding"));
}

TEST(Resume, IsNotDoneWhereTheStatesAreAnotherTrainings) {
  const TestFolder folder, fresh;
  SmallTraining cut(folder.path(), "sgd", 0, "fp32");
  interrupt(cut, 2);
  SmallTraining rest(folder.path(), "sgd", 0, "fp32"), whole(fresh.path(), "sgd", 0, "fp32");
  rest.job.from_its_start = true;
  rest.job.begin = [&] { StateFiles(folder.path()).remove(); };
  Messages messages;
  auto task = rest.task(), other = whole.task();
  train(task, rest.job, messages);
  EXPECT_EQ(messages.epochs, 4);
  train(other, whole.job, messages);
  expect_same_weights(*rest.net, *whole.net);
}

// The whole training in another process, for the flag that a signal sets stays set; and one that has no threads yet,
// for OpenMP's do not survive a fork.
class StopsItself : public Observer {
 public:
  StopsItself(int signal, const std::string& phase) : signal_(signal), phase_(phase) {}
  void on_progress(const Progress& progress) override {
    if (phase_ == "train" && progress.epoch == 2 && progress.batch == 2) std::raise(signal_);
  }
  void on_phase(const std::string&, const std::string& phase) override {
    if (phase_ != "train" && phase_ == phase && ++phases_ == 2) std::raise(signal_);
  }

 private:
  int signal_;
  std::string phase_;
  int phases_ = 0;
};

using Stop = std::tuple<int, const char*, int>;
class Stopped : public testing::TestWithParam<Stop> {};

TEST_P(Stopped, SavesAndGoesOnToTheByte) {
  const auto [signal, phase, exit_code] = GetParam();
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const TestFolder folder;
  // The process that the death test starts comes this way too, and has to use the same folder.
  const char* given = std::getenv("MFI_TEST_STOPPED");
  const std::filesystem::path place = given ? std::filesystem::path(given) : folder / "cut";
  if (!given) setenv("MFI_TEST_STOPPED", place.c_str(), 1);
  EXPECT_EXIT(
      {
        install_stop_handlers();
        SmallTraining cut(place, "sgd", 0.9, "fp32");
        StopsItself stops(signal, phase);
        auto task = cut.task();
        try {
          train(task, cut.job, stops);
        } catch (const Error& error) {
          std::exit(static_cast<int>(error.exit_code()));
        }
        std::exit(0);
      },
      testing::ExitedWithCode(exit_code), "");
  SmallTraining whole(folder / "whole", "sgd", 0.9, "fp32"), rest(place, "sgd", 0.9, "fp32");
  Messages messages;
  auto task = whole.task(), again = rest.task();
  train(task, whole.job, messages);
  train(again, rest.job, messages);
  EXPECT_THAT(messages.all, HasSubstr(std::string("going on after batch ") +
                                      (std::string(phase) == "evaluate" ? "4" : "2") + " of epoch 2 of 4"));
  expect_same_weights(*whole.net, *rest.net);
  EXPECT_EQ(text_of(place / "metrics.csv"), text_of(folder / "whole/metrics.csv"));
  unsetenv("MFI_TEST_STOPPED");
}

INSTANTIATE_TEST_SUITE_P(Wherever, Stopped,
                         testing::Values(Stop{SIGTERM, "train", 143}, Stop{SIGINT, "train", 130},
                                         Stop{SIGUSR1, "train", 143}, Stop{SIGTERM, "evaluate", 143}));

}  // namespace
}  // namespace mfi
