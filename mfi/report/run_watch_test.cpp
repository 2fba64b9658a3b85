#include "mfi/report/run_watch.h"

#include <gmock/gmock.h>

#include <fstream>
#include <memory>

#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/core/test_folder.h"
#include "mfi/report/made_up_run.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::vector<std::string> kSteps{"teacher", "map", "meta", "incubate-1", "incubate-2", "hybrid"};

// A run folder as processes would leave it, here and on other machines, watched by a machine whose clocks the test
// sets.
class Watch : public testing::Test {
 protected:
  Watch() {
    here_ = Signature::now();
    WatchClocks clocks;
    clocks.here = [this] { return here_; };
    clocks.steady = [this] { return steady_; };
    watch_ = std::make_unique<RunWatch>(run(), clocks);
  }

  fs::path run() const { return folder_ / "run"; }
  void begin() {
    fs::create_directories(run());
    std::ofstream(run() / "recipe.toml") << "name = \"tiny\"\n[data]\ndataset = \"sample\"\n"
                                            "[network]\narch = \"resnet20\"\n[map]\nepochs = 4\n";
  }
  void pass_seconds(double seconds) {
    steady_ += seconds;
    here_.uptime += seconds;
    here_.unix_time += seconds;
  }

  StepResult finish(const std::string& step, const std::string& fingerprint = "as planned") {
    fs::create_directories(run() / step);
    std::ofstream(run() / step / "model.safetensors") << "x";
    auto result = made_up_step(step, "net", 1, 1, 50, 20);
    result.fingerprint = fingerprint;
    write_step_result(run() / step / "step.json", result);
    remove_progress_file(run() / step);
    return result;
  }
  void write_results_of(const std::vector<StepResult>& steps, int64_t unlabelled_pictures = 0) {
    RunResults results;
    results.unlabelled_pictures = unlabelled_pictures;
    results.training_images = 5000;
    results.steps = steps;
    write_results(run() / "results.json", results);
  }
  void finish_all() {
    std::vector<StepResult> all;
    for (const auto& step : kSteps) all.push_back(finish(step));
    write_results_of(all);
  }

  Signature elsewhere(double clock_offset = 0) const {
    auto out = here_;
    out.host = "node12";
    out.process = 4711;
    out.boot = "another";
    out.uptime += 12345;
    out.unix_time += clock_offset;
    return out;
  }
  void write_progress(const std::string& step, const Signature& by, bool ended = false, int64_t batch = 5) {
    fs::create_directories(run() / step);
    write_progress_file(run() / step, StepProgressFile{{step, 2, 4, batch, 10, 1.5, 42, 50, 30}, {step}, ended, by});
  }

  StepView step(const RunLook& look, const std::string& name) const {
    for (const auto& view : look.view.steps)
      if (view.name == name) return view;
    ADD_FAILURE() << name;
    return {};
  }
  StepState state(const RunLook& look, const std::string& name) const { return step(look, name).state; }

  TestFolder folder_;
  Signature here_;
  double steady_ = 1000;
  std::unique_ptr<RunWatch> watch_;
};

TEST_F(Watch, WaitsForARunThatHasNotBegun) {
  EXPECT_EQ(watch_->look().phase, RunPhase::absent);
  fs::create_directories(run());
  EXPECT_EQ(watch_->look().phase, RunPhase::absent);
  {
    const RunLock lock(run());
    EXPECT_EQ(watch_->look().phase, RunPhase::absent) << "its recipe is about to be written";
    begin();
    const auto look = watch_->look();
    EXPECT_EQ(look.phase, RunPhase::running);
    EXPECT_EQ(look.view.count(StepState::waiting), 6);
  }
  EXPECT_EQ(watch_->look().phase, RunPhase::stopped);
}

TEST_F(Watch, RefusesAFolderThatIsNoRuns) {
  fs::create_directories(run() / "photos");
  EXPECT_THAT(message_of<NotFoundError>([&] { watch_->look(); }), HasSubstr("has no recipe.toml"));
  RunWatch file(folder_ / "file");
  std::ofstream(folder_ / "file") << "x";
  EXPECT_THAT(message_of<NotFoundError>([&] { file.look(); }), HasSubstr("is no folder"));
}

TEST_F(Watch, SeesStepsDoneRunningAndWaiting) {
  begin();
  const RunLock lock(run());
  write_results_of({finish("teacher")});
  fs::create_directories(run() / "map");
  const RunLock step_lock(run() / "map");
  write_progress("map", here_);
  const auto look = watch_->look();
  EXPECT_EQ(look.phase, RunPhase::running);
  EXPECT_EQ(state(look, "teacher"), StepState::done);
  EXPECT_EQ(step(look, "teacher").test_top1_percent, 50);
  EXPECT_EQ(state(look, "map"), StepState::running);
  EXPECT_EQ(step(look, "map").progress.epoch, 2);
  EXPECT_EQ(step(look, "map").note, "");
  EXPECT_EQ(state(look, "hybrid"), StepState::waiting);
  EXPECT_GT(look.view.seconds_left, 30);
  EXPECT_EQ(look.labels.at("map"), "[2/6] map");
}

TEST_F(Watch, EndsWithTheRun) {
  begin();
  {
    const RunLock lock(run());
    finish_all();
    EXPECT_EQ(watch_->look().phase, RunPhase::running) << "it still writes";
  }
  EXPECT_EQ(watch_->look().phase, RunPhase::done);
}

// Older versions wrote no progress files.
TEST_F(Watch, FindsARunningStepByItsLockAlone) {
  begin();
  finish("teacher");
  fs::create_directories(run() / "map");
  const RunLock step_lock(run() / "map");
  const auto look = watch_->look();
  EXPECT_EQ(state(look, "map"), StepState::running);
  EXPECT_EQ(step(look, "map").progress.epochs, 0);
}

TEST_F(Watch, KnowsAtOnceThatAProcessOfThisMachineIsGone) {
  begin();
  { const RunLock lock(run()); }
  write_progress("teacher", here_);
  { const RunLock step_lock(run() / "teacher"); }
  const auto look = watch_->look();
  EXPECT_EQ(look.phase, RunPhase::stopped);
  EXPECT_EQ(state(look, "teacher"), StepState::stopped);
  EXPECT_EQ(step(look, "teacher").progress.epoch, 2);
}

TEST_F(Watch, SaysWhenAProcessThatHoldsItsStepIsSilent) {
  begin();
  write_progress("teacher", here_);
  const RunLock step_lock(run() / "teacher");
  pass_seconds(29);
  EXPECT_EQ(step(watch_->look(), "teacher").note, "");
  pass_seconds(151);
  EXPECT_EQ(step(watch_->look(), "teacher").note,
            "no sign of life for 3 min, last seen on " + here_.host + ", process " + std::to_string(here_.process));
  EXPECT_EQ(watch_->look().phase, RunPhase::running);
}

TEST_F(Watch, KnowsThatAStepWhoseTrainingIsOverIsTested) {
  begin();
  fs::create_directories(run() / "teacher");
  write_progress_file(run() / "teacher", StepProgressFile{{"teacher", 4, 4, 10, 10, 1, 1, 1, 0}, {}, false, here_});
  const RunLock step_lock(run() / "teacher");
  pass_seconds(45);
  EXPECT_THAT(step(watch_->look(), "teacher").note, testing::StartsWith("trained, being tested for 45 s on "));
}

TEST_F(Watch, IsNotConfusedByACalendarThatIsSet) {
  begin();
  write_progress("teacher", here_);
  const RunLock step_lock(run() / "teacher");
  for (const double hours : {-5, 10}) {
    here_.unix_time += 3600 * hours;
    EXPECT_EQ(step(watch_->look(), "teacher").note, "") << hours;
    EXPECT_LT(watch_->look().signs.at("teacher").silent_seconds, 1) << hours;
  }
}

TEST_F(Watch, KnowsAtFirstSightOnTheSameMachineThatTheCalendarWasSet) {
  begin();
  write_progress("teacher", here_);
  const RunLock step_lock(run() / "teacher");
  here_.unix_time += 36000;
  watch_->look();
  EXPECT_FALSE(watch_->is_unsure());
  pass_seconds(10);
  EXPECT_EQ(step(watch_->look(), "teacher").note, "");
}

TEST_F(Watch, IgnoresWhatAnEarlierProcessLeft) {
  begin();
  write_progress("teacher", elsewhere(), /*ended=*/true);
  const RunLock step_lock(run() / "teacher");
  const auto look = watch_->look();
  EXPECT_EQ(state(look, "teacher"), StepState::running);
  EXPECT_EQ(step(look, "teacher").progress.epochs, 0);
}

// Locks may not reach this machine; its clock differs by an hour, forwards or backwards.
TEST_F(Watch, SeesAProcessElsewhereByItsFileThatChanges) {
  for (const double offset : {-3600, 0, 3600}) {
    begin();
    write_progress("teacher", elsewhere(offset));
    EXPECT_EQ(state(watch_->look(), "teacher"), StepState::running);
    for (int i = 0; i < 100; ++i) {
      pass_seconds(1);
      write_progress("teacher", elsewhere(offset));
      const auto look = watch_->look();
      ASSERT_EQ(state(look, "teacher"), StepState::running) << offset;
      ASSERT_EQ(step(look, "teacher").note, "") << offset;
    }
    pass_seconds(120);
    EXPECT_EQ(step(watch_->look(), "teacher").note, "no sign of life for 2 min, last seen on node12, process 4711");
    EXPECT_EQ(watch_->look().phase, RunPhase::running);
    pass_seconds(600);
    EXPECT_EQ(watch_->look().phase, RunPhase::stopped) << offset;
  }
}

TEST_F(Watch, LooksTwiceBeforeItTakesAFileOfAnotherMachineForOld) {
  begin();
  write_progress("teacher", elsewhere(-1200));
  fs::last_write_time(progress_file(run() / "teacher"), fs::file_time_type::clock::now() - std::chrono::minutes(20));
  EXPECT_EQ(step(watch_->look(), "teacher").note, "");
  EXPECT_TRUE(watch_->is_unsure());
  pass_seconds(3.1);
  EXPECT_EQ(watch_->look().phase, RunPhase::stopped);
  EXPECT_FALSE(watch_->is_unsure());
}

// Its own clock says an hour, but the file system's says now: the clocks differ.
TEST_F(Watch, BelievesTheYoungerOfTwoClocks) {
  begin();
  write_progress("teacher", elsewhere(-3600));
  watch_->look();
  EXPECT_FALSE(watch_->is_unsure());
}

TEST_F(Watch, SeesAPoliteStopElsewhereAtOnce) {
  begin();
  write_progress("teacher", elsewhere(), /*ended=*/true);
  EXPECT_EQ(watch_->look().phase, RunPhase::stopped);
}

TEST_F(Watch, DoesNotCountARecordThatTheResultsLeaveOut) {
  begin();
  const auto teacher = finish("teacher"), map = finish("map", "of other settings");
  const auto earlier = fs::file_time_type::clock::now() - std::chrono::minutes(1);
  for (const auto* name : {"teacher", "map"}) fs::last_write_time(run() / name / "step.json", earlier);
  write_results_of({teacher});
  EXPECT_EQ(state(watch_->look(), "map"), StepState::waiting);
  finish("map", "as planned");  // newer than the results, which will have it in a moment
  EXPECT_EQ(state(watch_->look(), "map"), StepState::done);
}

TEST_F(Watch, SeesThatStepsAreRunAgain) {
  begin();
  finish_all();
  const RunLock lock(run());
  const RunLock step_lock(run() / "meta");
  write_progress_file(
      run() / "meta",
      StepProgressFile{{"meta", 1, 4, 1, 10, 1, 1, 1, 1}, {"meta", "incubate-1", "hybrid"}, false, here_});
  const auto look = watch_->look();
  EXPECT_EQ(state(look, "map"), StepState::done);
  EXPECT_EQ(state(look, "meta"), StepState::running);
  EXPECT_EQ(state(look, "incubate-1"), StepState::waiting);
  EXPECT_EQ(state(look, "incubate-2"), StepState::done);
}

TEST_F(Watch, TellsWhatFailedWhileOthersGoOn) {
  begin();
  finish("teacher");
  const RunLock lock(run());
  write_progress_file(run(), RunProgressFile{2, {"meta"}, {{"map", "map: why"}}, here_});
  const auto look = watch_->look();
  EXPECT_EQ(state(look, "map"), StepState::failed);
  EXPECT_EQ(step(look, "map").note, "map: why");
  EXPECT_EQ(look.phase, RunPhase::running);
}

TEST_F(Watch, WaitsForTheNextStepWhereStepsAreRunOneByOne) {
  begin();
  { const RunLock lock(run(), {.shared = true}); }
  finish("teacher");
  EXPECT_EQ(watch_->look().phase, RunPhase::idle);
}

TEST_F(Watch, KnowsThatASearchIsAtWork) {
  begin();
  EXPECT_FALSE(watch_->look().searches);
  fs::create_directories(run() / "search");
  const RunLock lock(run() / "search");
  const auto look = watch_->look();
  EXPECT_TRUE(look.searches);
  EXPECT_EQ(look.phase, RunPhase::idle) << "what it does is no step of the run";
}

TEST_F(Watch, ShowsTheTeacherOfASearchWhoseRecipeHasNoHybrid) {
  begin();
  std::ofstream(run() / "recipe.toml", std::ios::app) << "[controls]\nsmaller_resnet = true\nsmaller_width = 64\n";
  EXPECT_THROW(watch_->look(), RecipeError);
  fs::create_directories(run() / "search");
  finish("teacher");
  const auto look = watch_->look();
  EXPECT_EQ(look.view.steps.size(), 1U);
  EXPECT_EQ(look.phase, RunPhase::stopped) << "that the search has ended is not known";
}

TEST_F(Watch, KnowsWhetherTheLastProcessWasOnAnotherMachine) {
  begin();
  EXPECT_FALSE(watch_->look().is_elsewhere);
  { const RunLock lock(run()); }
  EXPECT_FALSE(watch_->look().is_elsewhere);
  here_.host.pop_back();  // the begin of a name is not the name
  EXPECT_TRUE(watch_->look().is_elsewhere);
}

TEST_F(Watch, TakesDamagedFilesForNone) {
  begin();
  finish("teacher");
  for (const auto* file : {"results.json", "progress.json", "teacher/step.json", "teacher/progress.json"})
    std::ofstream(run() / file) << "{\"steps\":";
  const auto look = watch_->look();
  EXPECT_EQ(state(look, "teacher"), StepState::waiting);
  EXPECT_EQ(look.phase, RunPhase::stopped);
}

TEST_F(Watch, FollowsAChangedRecipe) {
  begin();
  EXPECT_EQ(watch_->look().view.steps.size(), 6U);
  std::ofstream(run() / "recipe.toml", std::ios::app) << "[controls]\nno_mapping = true\n";
  EXPECT_EQ(watch_->look().view.steps.size(), 7U);
}

// A process that goes on with the run has the results of the one before.
TEST_F(Watch, KnowsHowManyPicturesHaveNoLabel) {
  for (const std::string dataset : {"sample", "pictures"}) {
    SCOPED_TRACE(dataset);
    fs::create_directories(run() / "teacher");
    std::ofstream(run() / "recipe.toml") << "[data]\ndataset = \"" + dataset + "\"\n[network]\narch = \"resnet20\"\n";
    const RunLock lock(run()), step_lock(run() / "teacher");
    write_progress("teacher", here_);
    write_results_of({});
    const auto without = watch_->look().view.seconds_left;
    write_results_of({}, 5000);  // as many as there are training images
    const auto with = watch_->look().view.seconds_left;
    EXPECT_GT(with, without);
    EXPECT_LT(with, 2 * without);
  }
}

TEST_F(Watch, LeavesNothingBehindAndDisturbsNobody) {
  begin();
  finish("teacher");
  watch_->look();
  EXPECT_FALSE(fs::exists(run() / ".lock"));
  EXPECT_NO_THROW(RunLock{run()});
  watch_->look();
  EXPECT_NO_THROW(RunLock{run()});
}

}  // namespace
}  // namespace mfi
