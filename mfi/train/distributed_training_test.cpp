// A training by several processes against the same training by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "mfi/core/stop_signal.h"
#include "mfi/distributed/test_processes.h"
#include "mfi/train/classification_task.h"
#include "mfi/train/evaluate.h"
#include "mfi/train/mapping_task.h"
#include "mfi/train/metrics_file.h"
#include "mfi/train/test_data.h"
#include "mfi/train/trainer.h"

namespace mfi {
namespace {

using testing::Each;
using testing::HasSubstr;

enum class Kind { classify, map, distil };

Arch small_arch() {
  auto arch = resnet_arch("resnet20", 4, 2);
  arch.image_size = 8;
  return arch;
}

std::shared_ptr<Network> small_network(const Arch& arch) {
  auto net = std::make_shared<Network>(arch);
  initialise(*net, 1);
  return net;
}

// A network of small_arch() with all of its stages mapped.
std::shared_ptr<Network> small_student() {
  auto arch = small_arch();
  FlowArch flow;
  flow.hidden = 6;
  for (size_t stage = 0; stage < arch.stages.size(); ++stage) arch = with_flow_stage(arch, stage, flow);
  return small_network(arch);
}

// Batches of 16 of 64 images: shares of 8 with two processes; 6, 5 and 5 with three.
struct SmallTraining {
  Dataset data = made_up_dataset(64, 2), validation = made_up_dataset(20, 2, 1);
  std::shared_ptr<Network> net;
  std::unique_ptr<Task> task;
  TrainJob job;

  SmallTraining(const std::filesystem::path& folder, Kind kind, Processes* processes, bool sync_batch_norm = true) {
    job.step = "teacher";
    job.settings.epochs = 3;
    job.settings.batch_size = 16;
    job.settings.optimiser = "sgd";
    job.settings.learning_rate = 0.01;
    job.settings.ema = 0.9;
    job.runtime.precision = "fp32";
    job.seed = 3;
    job.train = &data;
    job.validation = &validation;
    job.normalisation = {{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
    job.folder = folder;
    job.fingerprint = "one";
    job.processes = processes;
    net = kind == Kind::map ? small_student() : small_network(small_arch());
    if (processes && sync_batch_norm) share_batch_statistics(*net, processes->batch_sums());
    if (kind == Kind::map) {
      MappingSettings settings;
      settings.seed = 5;
      settings.normalisation = job.normalisation;
      settings.processes = processes;
      settings.own_input = 0.7;
      settings.objective.logits = 0.5;
      task = std::make_unique<MappingTask>(*small_network(small_arch()), net, settings);
    } else if (kind == Kind::distil) {
      // One image without a label, so that in most batches one process has it and the others have not; and a teacher
      // with the same stages.
      data.labels[7] = kNoLabel;
      job.settings.distillation = job.settings.features = 0.5;
      job.settings.lookahead = 3;
      const auto teacher = std::make_shared<Network>(small_arch());
      initialise(*teacher, 2);
      task = std::make_unique<ClassificationTask>(net, std::vector<Learns>(net->part_count(), Learns::all),
                                                  job.settings, teacher, job.normalisation, torch::kFloat32, processes);
    } else {
      task = std::make_unique<ClassificationTask>(net, std::vector<Learns>(net->part_count(), Learns::all),
                                                  job.settings, nullptr, job.normalisation, torch::kFloat32, processes);
    }
  }
};

// What a training came to, through a file, as it happens in another process.
void leave(const std::filesystem::path& folder, const TrainOutcome& outcome) {
  std::ofstream(folder / "rows.json") << metrics_to_json(outcome.rows);
}

std::vector<Metrics> left(const std::filesystem::path& folder) {
  std::ifstream file(folder / "rows.json");
  std::stringstream text;
  text << file.rdbuf();
  return metrics_from_json(text.str());
}

std::vector<Metrics> rows_of_one(Kind kind) {
  const TestFolder folder;
  // In a process of its own as well: this one must not have threads when it forks.
  EXPECT_THAT(run_processes(1,
                            [&](Processes&) {
                              SmallTraining training(folder.path(), kind, nullptr);
                              Observer observer;
                              leave(folder.path(), train(*training.task, training.job, observer));
                            }),
              Each(0));
  return left(folder.path());
}

// Times aside. float32 sums in another order differ by 1e-7; a few epochs multiply that.
void expect_same_curve(const std::vector<Metrics>& actual, const std::vector<Metrics>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t epoch = 0; epoch < expected.size(); ++epoch) {
    ASSERT_EQ(actual[epoch].size(), expected[epoch].size());
    for (size_t i = 0; i < expected[epoch].size(); ++i) {
      const auto& [name, value] = expected[epoch][i];
      EXPECT_EQ(actual[epoch][i].first, name);
      if (name.find("second") == std::string::npos) {
        EXPECT_NEAR(actual[epoch][i].second, value, 2e-5 * std::abs(value)) << name << ", epoch " << epoch + 1;
      }
    }
  }
}

// Whether all processes have the first one's weights and statistics, to the bit.
void expect_same_everywhere(Processes& processes, const Network& network) {
  std::vector<torch::Tensor> firsts;
  for (const auto& [name, tensor] : named_tensors(network)) firsts.push_back(tensor.detach().clone());
  processes.broadcast(firsts);
  size_t i = 0;
  for (const auto& [name, tensor] : named_tensors(network)) EXPECT_TRUE(torch::equal(tensor, firsts[i++])) << name;
}

class SeveralProcesses : public testing::TestWithParam<std::tuple<Kind, int64_t>> {};

TEST_P(SeveralProcesses, FollowTheCurveOfOne) {
  const auto [kind, size] = GetParam();
  const TestFolder folder;
  EXPECT_THAT(run_processes(size,
                            [&, kind = kind](Processes& processes) {
                              SmallTraining training(folder.path(), kind, &processes);
                              Observer observer;
                              const auto outcome = train(*training.task, training.job, observer);
                              if (processes.is_first()) leave(folder.path(), outcome);
                              expect_same_everywhere(processes, *training.net);
                            }),
              Each(0));
  expect_same_curve(left(folder.path()), rows_of_one(kind));
}

INSTANTIATE_TEST_SUITE_P(Everything, SeveralProcesses,
                         testing::Combine(testing::Values(Kind::classify, Kind::map, Kind::distil),
                                          testing::Values(2, 3)));

TEST(SeveralProcesses, HaveTheSameModelThoughEachHasItsOwnBatchStatistics) {
  const TestFolder folder;
  EXPECT_THAT(run_processes(2,
                            [&](Processes& processes) {
                              SmallTraining training(folder.path(), Kind::classify, &processes,
                                                     /*sync_batch_norm=*/false);
                              Observer observer;
                              train(*training.task, training.job, observer);
                              expect_same_everywhere(processes, *training.net);
                            }),
              Each(0));
}

// Dies in all processes after an epoch, as far as the state's file is concerned.
class StopAfter : public Observer {
 public:
  explicit StopAfter(double epoch) : epoch_(epoch) {}
  void on_epoch(const std::string&, const Metrics& row) override {
    if (row.at(0).second == epoch_) throw IoError("killed");
  }

 private:
  double epoch_;
};

class Messages : public Observer {
 public:
  void on_message(const std::string& text) override { all += text; }
  std::string all;
};

TEST(SeveralProcesses, GoOnWhereAnotherNumberOfThemStopped) {
  const TestFolder folder;
  EXPECT_THAT(run_processes(2,
                            [&](Processes& processes) {
                              SmallTraining training(folder.path(), Kind::classify, &processes);
                              StopAfter stop(1);
                              train(*training.task, training.job, stop);
                            }),
              Each(74));
  EXPECT_THAT(run_processes(3,
                            [&](Processes& processes) {
                              // Only the first one has the folder.
                              SmallTraining training(processes.is_first() ? folder.path() : folder / "not-here",
                                                     Kind::classify, &processes);
                              Messages messages;
                              const auto outcome = train(*training.task, training.job, messages);
                              if (processes.is_first()) {
                                EXPECT_THAT(messages.all, HasSubstr("going on after epoch 1 of 3"));
                              }
                              EXPECT_EQ(outcome.rows.size(), 3u);
                              if (processes.is_first()) leave(folder.path(), outcome);
                            }),
              Each(0));
  expect_same_curve(left(folder.path()), rows_of_one(Kind::classify));
}

// Asks for a stop in the midst of an epoch, in the process whose observer it is.
class StopAt : public Observer {
 public:
  void on_progress(const Progress& progress) override {
    last_batch = progress.batch;
    if (progress.epoch == 2 && progress.batch == 2 && asks) std::raise(SIGTERM);
  }
  bool asks = false;
  int64_t last_batch = 0;
};

TEST(SeveralProcesses, StopTogetherWhenOneIsAskedTo) {
  const TestFolder folder;
  EXPECT_THAT(run_processes(3,
                            [&](Processes& processes) {
                              install_stop_handlers();
                              SmallTraining training(folder.path(), Kind::classify, &processes);
                              StopAt observer;
                              observer.asks = processes.rank() == 1;
                              try {
                                train(*training.task, training.job, observer);
                              } catch (const PeerError&) {
                                ADD_FAILURE() << "stopped by another process's end, not together with it";
                              } catch (const Error&) {
                                // The batch after the signal was under way; all have finished it.
                                EXPECT_EQ(observer.last_batch, 3);
                                throw;
                              }
                            }),
              Each(143));
}

// 301 images: a batch of 250 and one of 51, of which the third of three processes has as many as the others.
TEST(SeveralProcesses, AnswerEveryImageAsOneDoes) {
  const auto answers_of = [](Processes* processes, int64_t images) {
    const auto network = small_network(small_arch());
    Answers out;
    evaluate_classifier(*network, made_up_dataset(images, 2), {}, torch::kFloat32, processes, &out);
    return out;
  };
  for (const int64_t images : {301, 251})  // in the second case the last batch has no image for two of them
    EXPECT_THAT(run_processes(3,
                              [&](Processes& processes) {
                                const auto alone = answers_of(nullptr, images),
                                           together = answers_of(&processes, images);
                                EXPECT_EQ(together.classes, alone.classes);
                                EXPECT_EQ(together.labels, alone.labels);
                                ASSERT_EQ(together.probabilities.size(), alone.probabilities.size());
                                for (size_t i = 0; i < alone.probabilities.size(); ++i)
                                  EXPECT_NEAR(together.probabilities[i], alone.probabilities[i], 1e-5) << i;
                              }),
                Each(0));
}

TEST(SeveralProcesses, NeedAnImageEachInEveryBatch) {
  const TestFolder folder;
  EXPECT_THAT(run_processes(3,
                            [&](Processes& processes) {
                              SmallTraining training(folder.path(), Kind::classify, &processes);
                              training.job.settings.batch_size = 2;
                              Observer observer;
                              EXPECT_THAT(
                                  message_of<RecipeError>([&] { train(*training.task, training.job, observer); }),
                                  HasSubstr("teacher.batch_size is 2, with 64 training images and 3 processes"));
                            }),
              Each(0));
}

}  // namespace
}  // namespace mfi
