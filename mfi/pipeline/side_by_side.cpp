#include "mfi/pipeline/side_by_side.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/events.h"
#include "mfi/pipeline/schedule.h"
#include "mfi/pipeline/step_process.h"

namespace mfi {
namespace {

constexpr std::string_view kErrorPrefix = "mfi: ";  // of the message that a failing process ends with

// runtime.threads, else OMP_NUM_THREADS; 0 when neither says anything.
int64_t given_threads(const Recipe& recipe) {
  if (recipe.runtime.threads > 0) return recipe.runtime.threads;
  const char* text = std::getenv("OMP_NUM_THREADS");
  return text ? std::max(0L, std::strtol(text, nullptr, 10)) : 0;
}

class SideBySide {
 public:
  SideBySide(const Recipe& recipe, const Plan& plan, RunFolder& folder, const RunOptions& options,
             RunObserver& observer)
      : folder_(folder),
        options_(options),
        observer_(observer),
        cpus_(allowed_cpus()),
        schedule_(plan, options.jobs, cpus_, step_threads(recipe, plan, options.jobs)) {
    const auto cores = static_cast<int64_t>(cpus_.size()), threads = given_threads(recipe);
    if (const auto at_once = std::max<int64_t>(1, threads > 0 ? cores / threads : cores); at_once < options.jobs)
      observer.on_message(format("with %lld compute thread%s a step, at most %lld of %lld steps at once on %lld cores",
                                 static_cast<long long>(std::max<int64_t>(1, threads)), threads > 1 ? "s" : "",
                                 static_cast<long long>(at_once), static_cast<long long>(options.jobs),
                                 static_cast<long long>(cores)));
  }

  void run() {
    for (;;) {
      if (!stopping_) start_what_can();
      if (running_.empty()) break;
      pass_on_a_stop();
      wait();
    }
    throw_if_stopped();
    if (!first_failure_) return;
    auto text = first_failure_->text;
    if (!other_failures_.empty()) text += "; failed too: " + join(other_failures_, ", ");
    if (const auto cut_off = schedule_.cut_off(); !cut_off.empty())
      text += "; not run, since they need it: " + join(cut_off, ", ");
    throw Error(first_failure_->code, text);
  }

 private:
  struct Running {
    const PlannedStep* step;
    std::unique_ptr<StepProcess> process;
    std::string error;  // the message that it ended with
  };
  struct Failure {
    ExitCode code;
    std::string text;
  };

  void start_what_can() {
    for (auto ready = schedule_.ready(); !ready.empty();) {
      bool found_done = false;
      for (const auto* step : ready) {
        if (const auto* result = folder_.done(*step)) {
          schedule_.ended(*step, /*well=*/true);
          observer_.on_step_done(*result, /*was_already_done=*/true);
          found_done = true;
        } else if (const auto cpus = schedule_.start(*step)) {
          start(*step, *cpus);
        }
      }
      if (!found_done) break;
      folder_.write_results();
      ready = schedule_.ready();
    }
  }

  void start(const PlannedStep& step, const std::vector<int>& cpus) {
    auto remaining = folder_.remaining();
    const auto cut_off = schedule_.cut_off();
    std::erase_if(remaining, [&](const PlannedStep* other) {
      return other == &step || std::find(cut_off.begin(), cut_off.end(), other->name) != cut_off.end();
    });
    remaining.insert(remaining.begin(), &step);
    observer_.on_step_start(step, remaining);
    running_.push_back({&step,
                        std::make_unique<StepProcess>(options_.step_command(step.name, options_.forces(step.name)),
                                                      cpus, schedule_.threads(step)),
                        ""});
  }

  void pass_on_a_stop() {
    if (stopping_ || stop_asked_for() == 0) return;
    stopping_ = true;
    for (const auto& running : running_) running.process->send(stop_asked_for());
  }

  // Until something comes from a step, a signal arrives, or a little time has passed: a signal may
  // also arrive just before the waiting begins.
  void wait() {
    std::vector<pollfd> polled;
    for (const auto& running : running_) polled.push_back({running.process->descriptor(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), /*milliseconds=*/200) < 0 && errno != EINTR)
      throw IoError(std::string("waiting for steps: ") + std::strerror(errno));
    size_t i = 0;
    for (auto it = running_.begin(); it != running_.end(); ++i) {
      const auto current = it++;
      if (polled[i].revents != 0 &&
          !current->process->read_lines([&](const std::string& line) { take(*current, line); })) {
        end(*current, current->process->wait());
        running_.erase(current);
      }
    }
  }

  void take(Running& running, const std::string& line) {
    if (replay_event(line, observer_)) return;
    if (line.starts_with(kErrorPrefix))
      running.error = line.substr(kErrorPrefix.size());
    else
      observer_.on_message(running.step->name + ": " + line);  // a library's warning
  }

  void end(const Running& running, int status) {
    const auto& step = *running.step;
    if (status == 0) {
      folder_.read_record(step.name);
      if (const auto* result = folder_.done(step)) {
        schedule_.ended(step, /*well=*/true);
        observer_.on_step_done(*result, /*was_already_done=*/false);
        folder_.write_results();
        return;
      }
    }
    schedule_.ended(step, /*well=*/false);
    if (stop_asked_for() != 0) return;

    auto text = running.error;
    if (status == 0) text = "has ended, but its record does not match this run's settings and data";
    if (status < 0)
      text = format("was ended by signal %d (%s)", -status, strsignal(-status)) +
             (status == -SIGKILL ? "; where memory was short, fewer --jobs need less" : "");
    if (text.empty()) text = format("has ended with exit code %d and no message", status);
    if (!text.starts_with(step.name + ":")) text = step.name + ": " + text;
    observer_.on_step_failed(step.name, text);
    if (first_failure_)
      other_failures_.push_back(step.name);
    else
      first_failure_ = {status > 0 ? static_cast<ExitCode>(status) : ExitCode::internal, text};
  }

  RunFolder& folder_;
  const RunOptions& options_;
  RunObserver& observer_;
  std::vector<int> cpus_;
  Schedule schedule_;
  std::list<Running> running_;
  bool stopping_ = false;
  std::optional<Failure> first_failure_;
  std::vector<std::string> other_failures_;
};

}  // namespace

std::map<std::string, int64_t> step_threads(const Recipe& recipe, const Plan& plan, int64_t jobs) {
  return threads_of_steps(plan, jobs, static_cast<int64_t>(allowed_cpus().size()), given_threads(recipe));
}

void run_side_by_side(const Recipe& recipe, const Plan& plan, RunFolder& folder, const RunOptions& options,
                      RunObserver& observer) {
  SideBySide(recipe, plan, folder, options, observer).run();
}

}  // namespace mfi
