// A run as a list of its steps: what a terminal shows of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mfi/report/live_area.h"
#include "mfi/report/view_line.h"
#include "mfi/train/observer.h"

namespace mfi {

enum class StepState { waiting, running, stopped, failed, done };

/// "running" and so on.
const char* name_of(StepState state);

struct StepView {
  std::string name;
  StepState state = StepState::waiting;
  Progress progress;  // of a step that runs or was stopped; epochs is 0 before there is any
  bool was_already_done = false;
  double test_top1_percent = 0, seconds = 0;  // of one that is done; percent below 0: not known yet
  std::string note;                           // why it failed; what is wrong with it
};

struct RunView {
  std::vector<StepView> steps;
  double share = 0;          // of the run's work that is done, 0 to 1
  double seconds_left = -1;  // in the whole run; below 0: not known

  int64_t count(StepState state) const;
};

/// How far a step is, 0 to 1.
double share_of(const Progress& progress);

/// "4:05", "1:02:00": shorter than duration_text, and of a steady width while it counts down.
std::string clock_text(double seconds);

/// Text that is no step's, in one line.
ScreenLine text_line(const std::string& text, const ViewStyle& style);

/// A line for each step and one for the run, each shorter than the terminal is wide, together fewer than it has rows.
///
/// Where it is too low for all steps, those that are done become one line, then those that wait, at last some of those
/// that run. Where it is too narrow, first speed, accuracy, loss, epoch and time are left out, and the bar last.
std::vector<ScreenLine> draw_view(const RunView& view, const ViewStyle& style);

}  // namespace mfi
