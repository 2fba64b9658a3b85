#include "mfi/report/console.h"

#include <gmock/gmock.h>

#include <sstream>

#include "mfi/report/test_terminal.h"

namespace mfi {
namespace {

using std::chrono::duration_cast;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::Not;

// teacher (2 epochs), hybrid (4 epochs) of the same network: an epoch of one costs that of the other.
Plan two_steps() {
  Plan plan;
  for (const auto& [name, epochs] : {std::pair<const char*, int64_t>{"teacher", 2}, {"hybrid", 4}}) {
    PlannedStep step;
    step.name = name;
    step.purpose = "the purpose";
    step.arch = resnet_arch("resnet20", 16, 10);
    step.learns.assign(5, Learns::all);
    step.settings.epochs = epochs;
    step.settings.batch_size = 100;
    plan.steps.push_back(step);
  }
  return plan;
}

// The first of two epochs of 10 batches, 5 of them done, at 50 images/s: 10 s so far, 30 s left.
Progress halfway() {
  Progress out;
  out.step = "teacher";
  out.epoch = 1;
  out.epochs = 2;
  out.batch = 5;
  out.batches = 10;
  out.loss = 1.5;
  out.accuracy_percent = 42;
  out.images_per_second = 50;
  out.seconds_left_in_step = 30;
  return out;
}

class Console : public testing::Test {
 protected:
  ConsoleObserver make(ProgressStyle style, bool only_some = true) {
    ConsoleSettings settings;
    settings.only_some = only_some;
    settings.style = style;
    settings.size = [this] { return size_; };
    settings.now = [this] { return now_; };
    return ConsoleObserver(out_, two_steps(), /*training_images=*/1000, settings);
  }
  void start(ConsoleObserver& console) {
    const auto plan = two_steps();
    console.on_step_start(plan.steps[0], {&plan.steps[0], &plan.steps[1]});
    out_.str("");
  }
  void pass_seconds(double seconds) {
    now_ += duration_cast<steady_clock::duration>(std::chrono::duration<double>(seconds));
  }

  // What stands on the terminal by now.
  std::string screen() {
    terminal_.write(out_.str());
    out_.str("");
    return terminal_.text();
  }

  TerminalSize size_{80, 24};
  TestTerminal terminal_{80, 24};
  steady_clock::time_point now_{};
  std::ostringstream out_;
};

TEST_F(Console, TellsTimeLeftForTheStepAndForTheRun) {
  auto console = make(ProgressStyle::plain);
  start(console);
  pass_seconds(31);
  console.on_progress(halfway());
  // The hybrid: 4 epochs of 1000 images at 50 a second are 80 s.
  EXPECT_EQ(out_.str(),
            "[1/2] teacher: epoch 1/2  50 %, loss 1.5, train 42.0 %, 50 images/s, 30.0 s left in step, "
            "1 min 50 s left in run\n");
}

TEST_F(Console, InPlainStyleWritesAtMostOneLineIn30Seconds) {
  auto console = make(ProgressStyle::plain);
  start(console);
  for (int second = 0; second < 65; ++second) {
    pass_seconds(1);
    console.on_progress(halfway());
  }
  const auto text = out_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST_F(Console, InPlainStyleWritesALineAnEpoch) {
  auto console = make(ProgressStyle::plain);
  start(console);
  console.on_progress(halfway());
  console.on_epoch("teacher", {{"epoch", 1},
                               {"loss", 1.25},
                               {"train_percent", 50},
                               {"validation_top1_percent", 48},
                               {"images_per_second", 50}});
  EXPECT_EQ(out_.str(),
            "[1/2] teacher: epoch 1/2, loss 1.25, train 50.00 %, validation 48.00 %, 50 images/s, "
            "30.0 s left in step, 1 min 50 s left in run\n");
}

TEST_F(Console, InPlainStyleWritesNoControlCharacters) {
  auto console = make(ProgressStyle::plain);
  start(console);
  pass_seconds(31);
  console.on_progress(halfway());
  EXPECT_THAT(out_.str(), Not(HasSubstr("\r")));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
}

TEST_F(Console, DrawsTheStepsLive) {
  auto console = make(ProgressStyle::live);
  const auto plan = two_steps();
  console.on_step_start(plan.steps[0], {&plan.steps[0], &plan.steps[1]});
  EXPECT_EQ(screen(),
            "> teacher  starts\n"
            "  hybrid   waiting\n"
            "  run      ..............................   0 %  0 of 2 steps done\n");
  pass_seconds(1);
  console.on_progress(halfway());
  // A quarter of the teacher's 2000 images, of 6000 in the run; the hybrid's 4000 at 50 a second are 80 s.
  EXPECT_EQ(screen(),
            "> teacher  ###.........  25 %  1/2  loss 1.5    train 42.0 %  50/s    0:30 left\n"
            "  hybrid   waiting\n"
            "  run      ##............................   8 %  0 of 2 steps done  1:50 left\n");
}

TEST_F(Console, KnowsThatStepsOfAWholeRunThatAreNotLeftAreDone) {
  auto console = make(ProgressStyle::live, /*only_some=*/false);
  const auto plan = two_steps();
  console.on_step_start(plan.steps[0], {&plan.steps[0]});
  EXPECT_EQ(screen(),
            "> teacher  starts\n"
            "+ hybrid   already done\n"
            "  run      ####################..........  66 %  1 of 2 steps done\n");
}

TEST_F(Console, PutsResultsIntoTheListAndDetailsAboveIt) {
  auto console = make(ProgressStyle::live);
  start(console);
  terminal_ = TestTerminal{80, 24};
  StepResult result;
  result.step = "teacher";
  result.epochs = 2;
  result.test_top1_percent = 91.234;
  result.seconds = 65;
  result.details = {{"stage1_error_1step", 0.25}};
  out_.str("");
  console.on_step_done(result, /*was_already_done=*/false);
  EXPECT_THAT(screen(), HasSubstr("+ teacher  test top-1  91.23 %  1 min 05 s\n  hybrid   waiting\n"));
  EXPECT_THAT(screen(), HasSubstr("teacher: stage1: relative error 0.250 in 1 step\n"));
}

TEST_F(Console, DrawsNoMoreOftenThanEyesCanFollow) {
  auto console = make(ProgressStyle::live);
  start(console);
  pass_seconds(1);
  console.on_progress(halfway());
  out_.str("");
  pass_seconds(0.05);
  console.on_progress(halfway());
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Console, LetsMessagesScrollAboveTheLiveList) {
  auto console = make(ProgressStyle::live);
  console.on_message("before the first step");
  const auto plan = two_steps();
  console.on_step_start(plan.steps[0], {&plan.steps[0]});
  console.on_message("a word");
  EXPECT_EQ(screen(),
            "before the first step\na word\n> teacher  starts\n"
            "  run      ..............................   0 %  0 of 1 steps done\n");
}

TEST_F(Console, FollowsTheTerminalsWidth) {
  auto console = make(ProgressStyle::live);
  const auto plan = two_steps();
  console.on_step_start(plan.steps[0], {&plan.steps[0]});
  screen();
  size_ = {40, 24};
  terminal_.set_columns(40);
  pass_seconds(1);
  console.on_progress(halfway());
  EXPECT_EQ(screen(),
            "> teacher ###.........  25 %  0:30 left\n"
            "  run     ###.........  25 %  0:30 left\n");
}

TEST_F(Console, LeavesTheLastStateStandingOnceWhenARunIsCutOff) {
  {
    auto console = make(ProgressStyle::live);
    const auto plan = two_steps();
    console.on_step_start(plan.steps[0], {&plan.steps[0]});
    pass_seconds(1);
    console.on_progress(halfway());
  }
  EXPECT_EQ(screen(),
            "- teacher  ######..................  25 %  epoch 1/2  loss 1.5     train 42.0 %\n"
            "  run      #######.......................  25 %  0 of 1 steps done\n");
  EXPECT_EQ(terminal_.column(), 0U);
}

TEST_F(Console, SaysWhyAStepFailedInTheLiveList) {
  auto console = make(ProgressStyle::live);
  const auto plan = two_steps();
  console.on_step_start(plan.steps[0], {&plan.steps[0], &plan.steps[1]});
  console.on_step_failed("teacher", "no space left on device");
  EXPECT_THAT(screen(), HasSubstr("x teacher  failed: no space left on device\n  hybrid   waiting\n"));
}

// Two steps of one input at once, then one of both; each at 50 images/s.
class ConsoleOfTwo : public Console {
 protected:
  ConsoleOfTwo() {
    for (const auto& [name, inputs] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"left", {}}, {"right", {}}, {"both", {"left", "right"}}}) {
      auto step = two_steps().steps[0];
      step.name = name;
      step.part_from = inputs;
      plan_.steps.push_back(step);
    }
  }
  ConsoleObserver make_two(ProgressStyle style) {
    ConsoleSettings settings;
    settings.style = style;
    settings.size = [this] { return size_; };
    settings.now = [this] { return now_; };
    settings.jobs = 2;
    return ConsoleObserver(out_, plan_, /*training_images=*/1000, settings);
  }
  void start_two(ConsoleObserver& console) {
    const auto& steps = plan_.steps;
    console.on_step_start(steps[0], {&steps[0], &steps[1], &steps[2]});
    console.on_step_start(steps[1], {&steps[1], &steps[0], &steps[2]});
    out_.str("");
  }
  static Progress halfway_in(const std::string& step, double seconds_left) {
    auto out = halfway();
    out.step = step;
    out.seconds_left_in_step = seconds_left;
    return out;
  }
  Plan plan_;
};

TEST_F(ConsoleOfTwo, NamesTheStepInEveryPlainLine) {
  auto console = make_two(ProgressStyle::plain);
  start_two(console);
  console.on_progress(halfway_in("left", 30));
  pass_seconds(31);
  console.on_progress(halfway_in("right", 20));
  console.on_epoch("left", {{"epoch", 1}, {"loss", 1.25}});
  // The longer of both, then 2 epochs of 1000 images at 50 a second.
  EXPECT_EQ(out_.str(),
            "[2/3] right: epoch 1/2  50 %, loss 1.5, train 42.0 %, 50 images/s, 20.0 s left in step, "
            "1 min 10 s left in run\n"
            "[1/3] left: epoch 1/2, loss 1.25, 50 images/s, 30.0 s left in step, 1 min 10 s left in run\n");
}

TEST_F(ConsoleOfTwo, DrawsBothLive) {
  auto console = make_two(ProgressStyle::live);
  const auto& steps = plan_.steps;
  console.on_step_start(steps[0], {&steps[0], &steps[1], &steps[2]});
  console.on_step_start(steps[1], {&steps[1], &steps[0], &steps[2]});
  pass_seconds(1);
  console.on_progress(halfway_in("right", 20));
  EXPECT_EQ(screen(),
            "> left   starts\n"
            "> right  ###...........  25 %  1/2  loss 1.5    train 42.0 %  50/s    0:20 left\n"
            "  both   waiting\n"
            "  run    ##............................   8 %  0 of 3 steps done  1:20 left\n");
  pass_seconds(1);
  console.on_progress(halfway_in("left", 30));
  EXPECT_THAT(screen(), HasSubstr("> left   ###...........  25 %  1/2  loss 1.5    train 42.0 %  50/s    0:30 left\n"));
  EXPECT_THAT(screen(), HasSubstr("  1:10 left\n"));
}

TEST_F(Console, TellsWhatAStepReached) {
  auto console = make(ProgressStyle::plain);
  StepResult result;
  result.step = "hybrid";
  result.test_top1_percent = 91.234;
  result.seconds = 65;
  console.on_step_done(result, /*was_already_done=*/false);
  EXPECT_EQ(out_.str(), "[2/2] hybrid: done, test top-1 91.23 %, 1 min 05 s\n");
}

TEST_F(Console, GivesAStepThatWasDoneOneLine) {
  auto console = make(ProgressStyle::plain);
  StepResult result;
  result.step = "teacher";
  result.test_top1_percent = 90;
  result.details = {{"stage1_swap_in_percent", 1}};
  console.on_step_done(result, /*was_already_done=*/true);
  EXPECT_EQ(out_.str(), "[1/2] teacher: already done, test top-1 90.00 %\n");
}

TEST_F(Console, InStyleNoneTellsOnlyWhatAStepReached) {
  auto console = make(ProgressStyle::none);
  start(console);
  pass_seconds(100);
  console.on_progress(halfway());
  console.on_epoch("teacher", {{"epoch", 1}});
  console.on_message("a word");
  EXPECT_EQ(out_.str(), "");
}

TEST(DetailLines, GiveAMappedStageALine) {
  EXPECT_THAT(detail_lines({{"teacher_percent", 90.5},
                            {"stage1_error_1step", 0.25},
                            {"stage1_error_2steps", 0.5},
                            {"stage1_swap_in_percent", 80.125},
                            {"stage1_swap_in_1step_percent", 80.125},
                            {"stage1_swap_in_2steps_percent", 80.5},
                            {"stage2_error_2steps", 0.125}}),
              testing::ElementsAre("teacher: test top-1 90.50 %",
                                   "stage1: relative error 0.250 in 1 step, 0.500 in 2 steps; swapped in 80.12 %",
                                   "stage2: relative error 0.125 in 2 steps"));
}

}  // namespace
}  // namespace mfi
