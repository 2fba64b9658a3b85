#include "mfi/report/run_view.h"

#include <gmock/gmock.h>

#include "mfi/report/columns.h"
#include "mfi/report/test_terminal.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

StepView done(const std::string& name, double percent, double seconds) {
  StepView out;
  out.name = name;
  out.state = StepState::done;
  out.test_top1_percent = percent;
  out.seconds = seconds;
  return out;
}

// Halfway through the second of four epochs: 37.5 %.
StepView running(const std::string& name) {
  StepView out;
  out.name = name;
  out.state = StepState::running;
  out.progress = {name, 2, 4, 5, 10, 1.234, 42.25, 5230.4, 65};
  return out;
}

StepView waiting(const std::string& name) {
  StepView out;
  out.name = name;
  return out;
}

RunView small_run() {
  RunView out;
  out.steps = {done("teacher", 64.2, 125), done("map", 9.5, 12), running("meta"), waiting("incubate-1"),
               waiting("hybrid")};
  out.share = 0.456;
  out.seconds_left = 110;
  return out;
}

// What a terminal of this width shows. It wraps early, so that a line that is too long by one is seen.
std::string shown(const RunView& view, const ViewStyle& style) {
  TestTerminal terminal(style.columns, style.rows);
  for (const auto& line : draw_view(view, style)) terminal.write(line.text + "\n");
  return terminal.text();
}

TEST(RunView, ListsTheStepsInUnicode) {
  EXPECT_EQ(shown(small_run(), {100, 24, false, true}),
            "✓ teacher     test top-1  64.20 %  2 min 05 s\n"
            "✓ map         test top-1   9.50 %  12.0 s\n"
            "▸ meta        ━━━━━╸─────────  37 %  epoch 2/4  loss 1.234   train 42.2 %  5230 images/s  1:05 left\n"
            "· incubate-1  waiting\n"
            "· hybrid      waiting\n"
            "  run         ━━━━━━━━━━━━━╸────────────────  45 %  2 of 5 steps done  1:50 left\n");
}

TEST(RunView, ListsTheStepsInAsciiOn80Columns) {
  EXPECT_EQ(shown(small_run(), {80, 24, false, false}),
            "+ teacher     test top-1  64.20 %  2 min 05 s\n"
            "+ map         test top-1   9.50 %  12.0 s\n"
            "> meta        ###......  37 %  2/4  loss 1.23   train 42.2 %  5230/s  1:05 left\n"
            "  incubate-1  waiting\n"
            "  hybrid      waiting\n"
            "  run         #############................  45 %  2 of 5 steps done  1:50 left\n");
}

TEST(RunView, HasNameBarAndPercentOn40Columns) {
  EXPECT_EQ(shown(small_run(), {40, 24, false, true}),
            "✓ teacher    test top-1  64.20 %\n"
            "✓ map        test top-1   9.50 %\n"
            "▸ meta       ━━━──────  37 %  1:05 left\n"
            "· incubate-1 waiting\n"
            "· hybrid     waiting\n"
            "  run        ━━━━─────  45 %  1:50 left\n");
}

TEST(RunView, NeverWrapsAndNeverScrolls) {
  auto view = small_run();
  view.steps[2].note = "no sign of life for 3 min, last seen on a-host-of-a-very-long-name, process 4711";
  view.steps.push_back(waiting("a-step-with-a-name-that-is-longer-than-any-of-ours-größer"));
  view.steps.push_back(waiting("failed"));
  view.steps.back().state = StepState::failed;
  view.steps.back().note = "no space left on device: /some/folder/with a name/that goes on and on/猫猫猫猫猫猫";
  for (size_t columns = 1; columns < 140; ++columns)
    for (const size_t rows : {1, 2, 3, 5, 8, 24})
      for (const bool unicode : {false, true}) {
        const auto lines = draw_view(view, {columns, rows, true, unicode});
        ASSERT_LE(lines.size(), std::max<size_t>(1, rows - 1)) << columns << " " << rows;
        for (const auto& line : lines) {
          ASSERT_LT(line.columns, columns) << line.text;
          TestTerminal terminal(columns + 1);
          terminal.write(line.text + "\n");
          for (const auto& text : terminal.all_lines()) ASSERT_LE(columns_of(text), line.columns);
        }
      }
}

RunView long_run() {
  RunView out = small_run();
  out.steps.clear();
  for (int i = 0; i < 5; ++i) out.steps.push_back(done("done-" + std::to_string(i), 50, 1));
  for (int i = 0; i < 2; ++i) out.steps.push_back(running("running-" + std::to_string(i)));
  for (int i = 0; i < 7; ++i) out.steps.push_back(waiting("waiting-" + std::to_string(i)));
  return out;
}

TEST(RunView, FoldsWhatIsDoneWhereTheTerminalIsLow) {
  const auto text = shown(long_run(), {80, 14, false, false});
  EXPECT_THAT(text, HasSubstr("+ 5 steps done\n> running-0"));
  EXPECT_THAT(text, HasSubstr("  waiting-6"));
  EXPECT_THAT(text, Not(HasSubstr("done-0")));
}

TEST(RunView, FoldsWhatWaitsWhereThatIsNotEnough) {
  EXPECT_EQ(draw_view(long_run(), {80, 8, false, false}).size(), 5U);
  const auto text = shown(long_run(), {80, 8, false, false});
  EXPECT_THAT(text, HasSubstr("+ 5 steps done\n> running-0"));
  EXPECT_THAT(text, HasSubstr("\n> running-1"));
  EXPECT_THAT(text, HasSubstr("\n  7 waiting\n  run "));
}

TEST(RunView, FoldsNothingWhereThereIsRoom) {
  EXPECT_EQ(draw_view(long_run(), {80, 16, false, false}).size(), 15U);
  EXPECT_THAT(shown(long_run(), {80, 16, false, false}), HasSubstr("done-0"));
}

TEST(RunView, KeepsTheRunsOwnLineToTheLast) {
  const auto lines = draw_view(long_run(), {80, 2, false, false});
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0].text, HasSubstr("  run "));
}

TEST(RunView, ColoursSparingly) {
  auto view = small_run();
  view.steps[4].state = StepState::failed;
  view.steps[4].note = "why";
  std::string text;
  for (const auto& line : draw_view(view, {80, 24, true, false})) text += line.text + "\n";
  EXPECT_THAT(text, HasSubstr("\x1b[32m+ \x1b[0mteacher"));
  EXPECT_THAT(text, HasSubstr("\x1b[1mmeta      \x1b[0m"));
  EXPECT_THAT(text, HasSubstr("\x1b[31mfailed: why\x1b[0m"));
  for (const auto& line : draw_view(view, {80, 24, false, true})) EXPECT_THAT(line.text, Not(HasSubstr("\x1b")));
}

TEST(RunView, TellsWhatIsWrongWithARunningStepInALineBelowIt) {
  auto view = small_run();
  view.steps[2].note = "no sign of life";
  EXPECT_THAT(shown(view, {80, 24, false, false}), HasSubstr("left\n    no sign of life\n  incubate-1"));
}

TEST(RunView, NeedsNoProgressToShowARunningStep) {
  auto view = small_run();
  view.steps[2].progress = {};
  EXPECT_THAT(shown(view, {80, 24, false, false}), HasSubstr("> meta        starts\n"));
}

TEST(RunView, StandsWhatADamagedFileMaySay) {
  auto view = small_run();
  view.steps[2].progress = {"meta", -3, 4, 500, 10, std::nan(""), std::nan(""), 1e308, std::nan("")};
  view.seconds_left = 1e300;
  EXPECT_NO_THROW(shown(view, {80, 24, true, true}));
}

TEST(ClockText, CountsMinutesAndHours) {
  EXPECT_EQ(clock_text(0), "0:00");
  EXPECT_EQ(clock_text(65.4), "1:05");
  EXPECT_EQ(clock_text(3720), "1:02:00");
  EXPECT_EQ(clock_text(-5), "0:00");
}

}  // namespace
}  // namespace mfi
