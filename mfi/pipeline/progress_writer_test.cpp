#include "mfi/pipeline/progress_writer.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "mfi/core/atomic_file.h"
#include "mfi/core/test_folder.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;
using testing::ElementsAre;

PlannedStep step_named(const std::string& name) {
  PlannedStep out;
  out.name = name;
  return out;
}

StepResult result_of(const std::string& step) {
  StepResult out;
  out.step = step;
  return out;
}

class ProgressWriter : public testing::Test {
 protected:
  ProgressWriter() {
    for (const auto& step : {teacher_, map_}) fs::create_directory(folder_ / step.name);
  }

  StepProgressWriter make(bool only = false) {
    return StepProgressWriter(folder_.path(), only, /*seconds=*/1, [this] { return now_; });
  }
  void pass_seconds(double seconds) {
    now_ += std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(seconds));
  }
  static Progress at(int64_t batch, int64_t epoch = 1) { return {"teacher", epoch, 2, batch, 10, 1.5, 42, 50, 30}; }
  std::optional<StepProgressFile> file(const std::string& step = "teacher") const {
    return read_step_progress(folder_ / step);
  }

  TestFolder folder_;
  PlannedStep teacher_ = step_named("teacher"), map_ = step_named("map");
  steady_clock::time_point now_{};
};

TEST_F(ProgressWriter, LeavesAllThatAViewNeeds) {
  auto writer = make();
  writer.on_step_start(teacher_, {&teacher_, &map_});
  auto progress = at(3);
  progress.loss = std::nan("");
  writer.on_progress(progress);
  const auto read = file();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->progress.step, "teacher");
  EXPECT_EQ(read->progress.epochs, 2);
  EXPECT_EQ(read->progress.batch, 3);
  EXPECT_TRUE(std::isnan(read->progress.loss));
  EXPECT_EQ(read->progress.accuracy_percent, 42);
  EXPECT_EQ(read->progress.seconds_left_in_step, 30);
  EXPECT_THAT(read->remaining, ElementsAre("teacher", "map"));
  EXPECT_FALSE(read->ended);
  const auto here = Signature::now();
  EXPECT_EQ(read->by.owner(), here.owner());
  EXPECT_EQ(read->by.boot, here.boot);
  EXPECT_NEAR(read->by.uptime, here.uptime, 60);
  EXPECT_NEAR(read->by.unix_time, here.unix_time, 60);
  EXPECT_FALSE(fs::exists(folder_ / "teacher/progress.json.part"));
}

TEST_F(ProgressWriter, WritesAtMostOnceASecond) {
  auto writer = make();
  writer.on_step_start(teacher_, {&teacher_});
  writer.on_progress(at(1));
  pass_seconds(0.9);
  writer.on_progress(at(2));
  EXPECT_EQ(file()->progress.batch, 1);
  pass_seconds(0.2);
  writer.on_progress(at(3));
  EXPECT_EQ(file()->progress.batch, 3);
}

TEST_F(ProgressWriter, WritesTheLastEpochsEnd) {
  auto writer = make();
  writer.on_step_start(teacher_, {&teacher_});
  writer.on_progress(at(9, 1));
  writer.on_progress(at(10, 1));
  writer.on_epoch("teacher", {});
  EXPECT_EQ(file()->progress.batch, 9) << "more epochs will tell";
  writer.on_progress(at(10, 2));
  writer.on_epoch("teacher", {});
  EXPECT_EQ(file()->progress.epoch, 2);
}

TEST_F(ProgressWriter, RemovesTheFileOfAStepThatIsDone) {
  auto writer = make();
  writer.on_step_start(teacher_, {&teacher_});
  writer.on_progress(at(1));
  writer.on_step_done(result_of("teacher"), /*was_already_done=*/false);
  EXPECT_FALSE(fs::exists(progress_file(folder_ / "teacher")));
}

TEST_F(ProgressWriter, SaysThatAStepWasCutOff) {
  {
    auto writer = make();
    writer.on_step_start(teacher_, {&teacher_});
    writer.on_progress(at(1));
    writer.on_progress(at(7));
  }
  ASSERT_TRUE(file());
  EXPECT_TRUE(file()->ended);
  EXPECT_EQ(file()->progress.batch, 7);
}

// As when another process holds the step.
TEST_F(ProgressWriter, LeavesAFileAloneBeforeItsOwnFirstBatch) {
  std::ofstream(progress_file(folder_ / "teacher")) << "another's";
  {
    auto writer = make(/*only=*/true);
    writer.on_step_start(teacher_, {&teacher_});
  }
  EXPECT_EQ(read_file(progress_file(folder_ / "teacher")), "another's");
}

TEST_F(ProgressWriter, DoesNotMindWhereItCannotWrite) {
  auto writer = make();
  const auto nowhere = step_named("nowhere");
  writer.on_step_start(nowhere, {&nowhere});
  auto progress = at(1);
  progress.step = "nowhere";
  EXPECT_NO_THROW(writer.on_progress(progress));
  EXPECT_FALSE(fs::exists(folder_ / "nowhere"));
}

TEST_F(ProgressWriter, OfAWholeRunForgetsWhatAnEarlierOneLeft) {
  write_progress_file(folder_.path(), RunProgressFile{2, {}, {{"map", "failed"}}, {}});
  make(/*only=*/true).on_step_start(teacher_, {&teacher_});
  EXPECT_TRUE(read_run_progress(folder_.path()));
  make().on_step_start(teacher_, {&teacher_});
  EXPECT_FALSE(read_run_progress(folder_.path()));
}

TEST_F(ProgressWriter, OfStepsAtOnceTellsWhatIsLeftAndWhatHasFailed) {
  {
    RunProgressWriter writer(folder_.path(), 3);
    writer.on_step_start(teacher_, {&teacher_, &map_});
    EXPECT_EQ(read_run_progress(folder_.path())->jobs, 3);
    EXPECT_THAT(read_run_progress(folder_.path())->remaining, ElementsAre("teacher", "map"));
    writer.on_step_done(result_of("teacher"), false);
    EXPECT_THAT(read_run_progress(folder_.path())->remaining, ElementsAre("map"));
    writer.on_step_failed("map", "map: why");
    EXPECT_EQ(read_run_progress(folder_.path())->failed.at("map"), "map: why");
  }
  EXPECT_TRUE(read_run_progress(folder_.path())) << "a failure is worth reading afterwards";
  {
    RunProgressWriter writer(folder_.path(), 3);
    writer.on_step_done(result_of("teacher"), true);
  }
  EXPECT_FALSE(fs::exists(progress_file(folder_.path())));
}

TEST_F(ProgressWriter, TakesWhatIsNoProgressFileForNone) {
  for (const std::string text : {"", "{", "[]", "{\"step\":1}", "\xff\xfe", "null"}) {
    std::ofstream(progress_file(folder_.path())) << text;
    EXPECT_FALSE(read_step_progress(folder_.path())) << text;
    EXPECT_FALSE(read_run_progress(folder_.path())) << text;
  }
  EXPECT_FALSE(read_step_progress(folder_ / "none"));
}

TEST(FanOut, TellsEverythingToEverybody) {
  struct Counter : RunObserver {
    void on_step_start(const PlannedStep&, const std::vector<const PlannedStep*>&) override { ++count; }
    void on_step_done(const StepResult&, bool) override { ++count; }
    void on_step_failed(const std::string&, const std::string&) override { ++count; }
    void on_progress(const Progress&) override { ++count; }
    void on_phase(const std::string&, const std::string&) override { ++count; }
    void on_epoch(const std::string&, const Metrics&) override { ++count; }
    void on_message(const std::string&) override { ++count; }
    int count = 0;
  } first, second;
  FanOut both({&first, &second});
  both.on_step_start({}, {});
  both.on_step_done({}, false);
  both.on_step_failed("", "");
  both.on_progress({});
  both.on_phase("", "");
  both.on_epoch("", {});
  both.on_message("");
  EXPECT_EQ(first.count, 7);
  EXPECT_EQ(second.count, 7);
}

}  // namespace
}  // namespace mfi
