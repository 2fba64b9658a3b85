// mfi watch
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "mfi/cli/commands.h"
#include "mfi/cli/shell_word.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/report/live_area.h"
#include "mfi/report/run_watch.h"
#include "mfi/report/terminal.h"

namespace mfi {
namespace {

using Json = nlohmann::ordered_json;

struct WatchArguments {
  std::string run;
  bool once = false, json = false;
  double interval = 1;  // seconds
};

void sleep_seconds(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

std::string steps_done_text(const RunView& view) {
  return format("%lld of %zu steps done", static_cast<long long>(view.count(StepState::done)), view.steps.size());
}

// A line about the run as a whole, where its steps do not say it all.
std::string phase_text(const RunLook& look, const std::string& run) {
  switch (look.phase) {
    case RunPhase::absent:
      return "waiting for a run in " + run + ": there is none yet";
    case RunPhase::idle:
      return (look.searches ? "mfi search is at work there, and shows its own steps; "
                            : "nothing runs at the moment; ") +
             steps_done_text(look.view);
    case RunPhase::stopped:
      return "stopped, " + steps_done_text(look.view) + "; the same command goes on";
    case RunPhase::running:
    case RunPhase::done:
      break;
  }
  return "";
}

std::vector<ScreenLine> screen(const RunLook& look, const std::string& run, const ViewStyle& style) {
  std::vector<ScreenLine> out;
  const auto text = phase_text(look, run);
  auto steps = style;
  if (!text.empty() && steps.rows > 3) --steps.rows;
  if (look.phase != RunPhase::absent) out = draw_view(look.view, steps);
  if (!text.empty()) out.push_back(text_line(text, style));
  return out;
}

Json to_json(const RunLook& look, const std::string& run) {
  Json out{{"run", run}, {"state", name_of(look.phase)}, {"searches", look.searches}, {"steps", Json::array()}};
  for (const auto& step : look.view.steps) {
    Json json{{"step", step.name}, {"state", name_of(step.state)}};
    if (step.state == StepState::done) {
      json["test_top1_percent"] = step.test_top1_percent;
      json["seconds"] = step.seconds;
    }
    if (const auto& p = step.progress; p.epochs > 0) {
      json["epoch"] = p.epoch;
      json["epochs"] = p.epochs;
      json["batch"] = p.batch;
      json["batches"] = p.batches;
      json["loss"] = p.loss;
      if (p.accuracy_percent >= 0) json["accuracy_percent"] = p.accuracy_percent;
      json["images_per_second"] = p.images_per_second;
      if (step.state == StepState::running) json["seconds_left_in_step"] = p.seconds_left_in_step;
    }
    if (const auto sign = look.signs.find(step.name); sign != look.signs.end()) {
      json["host"] = sign->second.host;
      json["process"] = sign->second.process;
      json["silent_seconds"] = std::round(10 * sign->second.silent_seconds) / 10;
    }
    if (!step.note.empty()) json["text"] = step.note;
    out["steps"].push_back(json);
  }
  out["share_done"] = look.view.share;
  if (look.phase == RunPhase::running && look.view.seconds_left >= 0) out["seconds_left"] = look.view.seconds_left;
  return out;
}

/// Lines for a file: one when something changes.
class PlainLines {
 public:
  void show(const RunLook& look, const std::string& run) {
    for (const auto& step : look.view.steps) {
      const auto [key, text] = describe(look, step);
      if (!key.empty()) say(step.name, key, look.labels.at(step.name) + ": " + text);
    }
    if (const auto text = phase_text(look, run); !text.empty()) say("", text, text);
    std::cout << std::flush;
  }

 private:
  // What it is that may change, and the line that tells it; "" for what is not worth one.
  static std::pair<std::string, std::string> describe(const RunLook& look, const StepView& step) {
    const auto& p = step.progress;
    auto epoch = format("epoch %lld/%lld", static_cast<long long>(p.epoch), static_cast<long long>(p.epochs));
    switch (step.state) {
      case StepState::waiting:
        return {};
      case StepState::done:
        return {"done",
                format("done, test top-1 %.2f %%, %s", step.test_top1_percent, duration_text(step.seconds).c_str())};
      case StepState::failed:
        return {"failed", "failed: " + step.note};
      case StepState::stopped:
        return {"stopped", "stopped in " + epoch};
      case StepState::running:
        break;
    }
    if (!step.note.empty()) return {"silent", step.note};
    if (p.epochs == 0) return {"starts", "starts"};
    const auto key = epoch;
    epoch += format(", loss %.4g", p.loss);
    if (p.accuracy_percent >= 0) epoch += format(", train %.1f %%", p.accuracy_percent);
    epoch +=
        format(", %.0f images/s, %s left in step", p.images_per_second, duration_text(p.seconds_left_in_step).c_str());
    if (look.view.seconds_left >= 0) epoch += ", " + duration_text(look.view.seconds_left) + " left in run";
    return {key, epoch};
  }

  void say(const std::string& about, const std::string& key, const std::string& line) {
    auto& last = said_[about];
    if (last == key) return;
    last = key;
    std::cout << line << "\n";
  }

  std::map<std::string, std::string> said_;
};

void show_once(const WatchArguments& arguments) {
  RunWatch watch(arguments.run);
  auto look = watch.look();
  if (look.phase == RunPhase::absent) throw NotFoundError(arguments.run + ": no run has begun there");
  if (watch.is_unsure()) {
    sleep_seconds(RunWatch::kSure + 0.1);
    look = watch.look();
  }
  if (arguments.json) {
    std::cout << to_json(look, arguments.run).dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return;
  }
  ViewStyle style;
  style.rows = 10'000;  // all of it: nothing is drawn over
  style.unicode = terminal_features(STDOUT_FILENO).unicode;
  style.columns = isatty(STDOUT_FILENO) ? terminal_size(STDOUT_FILENO).columns : 120;
  for (const auto& line : screen(look, arguments.run, style)) std::cout << line.text << "\n";
}

// Between two steps or processes there may be a moment in which nobody holds anything; on another machine a longer one,
// since locks may not reach this one.
double patience(const RunLook& look) { return look.is_elsewhere ? 15 : 1; }

void follow(const WatchArguments& arguments) {
  RunWatch watch(arguments.run);
  const auto terminal = terminal_features(STDOUT_FILENO);
  LiveArea area(std::cout);
  PlainLines lines;
  double stopped_for = 0;
  for (;;) {
    auto look = watch.look();
    auto seconds = arguments.interval;
    const bool may_be_between_two = look.phase == RunPhase::stopped && stopped_for < patience(look);
    if (may_be_between_two) {
      look.phase = RunPhase::running;
      seconds = std::min(seconds, 1.0);
      stopped_for += seconds;
    } else if (look.phase != RunPhase::stopped) {
      stopped_for = 0;
    }
    if (terminal.can_go_back) {
      const auto size = terminal_size(STDOUT_FILENO);
      area.draw(screen(look, arguments.run, {size.columns, size.rows, terminal.colour, terminal.unicode}),
                size.columns);
    } else if (!may_be_between_two) {
      lines.show(look, arguments.run);
    }
    if (!std::cout) throw IoError("standard output could not be written");
    if (look.phase == RunPhase::done) {
      std::cerr << "'mfi report " << shell_quoted(arguments.run) << "' prints the table.\n";
      return;
    }
    if (look.phase == RunPhase::stopped)
      throw Error(ExitCode::lost, arguments.run + ": stopped before its end; the same 'mfi run' goes on");
    sleep_seconds(seconds);
  }
}

}  // namespace

void add_watch_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("watch", "See how far a run is, from another terminal or machine");
  auto arguments = std::make_shared<WatchArguments>();
  command->add_option("RUN", arguments->run, "Run folder; waits where no run has begun there")->required();
  command->add_flag("--once", arguments->once, "Print where the run stands, and end");
  command->add_flag("--json", arguments->json, "The same as one JSON object");
  command->add_option("--interval", arguments->interval, "Seconds between two looks; default: 1")
      ->check(CLI::Range(0.05, 3600.0));
  command->footer(
      "Ends with the run: exit code 0 when all its steps are done, 69 when it has stopped before.\n"
      "It needs nothing but the folder; Ctrl-C ends the watching, not the run.\n\n"
      "Example:\n"
      "  mfi watch runs/cifar10-resnet34-w16");
  command->callback([=, &action] {
    action = [=] {
      if (arguments->once || arguments->json)
        show_once(*arguments);
      else
        follow(*arguments);
    };
  });
}

}  // namespace mfi
