// A run of another process, perhaps on another machine, as its folder shows it.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "mfi/pipeline/progress_file.h"
#include "mfi/pipeline/recipe.h"
#include "mfi/pipeline/results.h"
#include "mfi/report/run_state.h"

namespace mfi {

enum class RunPhase {
  absent,   // nobody has begun a run there
  running,  // a process holds the run or one of its steps
  idle,     // steps are run one by one (--only), or by a search, and none is at the moment
  stopped,  // nobody is at work, and steps are left
  done,
};

/// "running" and so on.
const char* name_of(RunPhase phase);

struct RunLook {
  struct Sign {
    std::string host;
    int64_t process = 0;
    double silent_seconds = 0;  // since it last wrote
    bool is_tested = false;     // its training is over: what comes now tells nothing on its way
  };
  RunPhase phase = RunPhase::absent;
  RunView view;
  std::map<std::string, std::string> labels;  // of the steps in the view: "[2/8] map"
  std::map<std::string, Sign> signs;          // of the steps that run or were stopped, where there is one
  bool searches = false;      // mfi search is at work in it; of its steps the view has the teacher alone
  bool is_elsewhere = false;  // the last process that worked in it was on another machine
};

/// Where a RunWatch takes the time from.
struct WatchClocks {
  std::function<Signature()> here = Signature::now;
  std::function<double()> steady;  // seconds; default: the steady clock
};

/// Looks at a run folder again and again; writes nothing.
///
/// A step runs while its lock is held, or, since locks may not reach other machines, while its progress file changes.
/// How old that file is, the time since this machine was started tells where both are on the same one. Else no clock is
/// trusted but the one that runs between two looks: at first sight a file is taken for fresh, after kSure seconds
/// without change for as old as the two calendars agree it to be.
class RunWatch {
 public:
  static constexpr double kSilent = 30;  // seconds without a sign of life that are worth a word
  static constexpr double kSure = 3;     // longer than a process that trains leaves its file unchanged
  static constexpr double kGone = 600;   // a process on another machine, whose lock is free, counts as gone

  explicit RunWatch(std::filesystem::path run, WatchClocks clocks = {});

  /// Throws NotFoundError where the folder is something else than a run's, and what reading its recipe throws.
  RunLook look();

  /// Whether the last look had to take a file for fresh that may be old: look again after kSure.
  bool is_unsure() const { return is_unsure_; }

 private:
  struct Seen {
    double uptime = 0, unix_time = 0;
    std::string owner;
    double since = 0;          // by the steady clock
    double age_then = 0;       // as the calendars had it
    bool has_changed = false;  // since we look
  };
  struct StepSigns;

  bool has_begun() const;
  void read_plan(const std::optional<RunResults>& results);
  StepSigns read_step(const PlannedStep& step);
  double silent_seconds(const std::string& step, const Signature& by);

  std::filesystem::path run_;
  WatchClocks clocks_;
  std::string recipe_text_;
  std::optional<Plan> plan_;
  std::map<std::string, Seen> seen_;
  bool is_unsure_ = false;
};

/// "no sign of life for 3 min, last seen on node12, process 4711"; of a step that is tested, that it is.
std::string silence_text(const RunLook::Sign& sign);

}  // namespace mfi
