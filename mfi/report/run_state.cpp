#include "mfi/report/run_state.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mfi/core/text.h"

namespace mfi {

RunState::RunState(Plan plan, RunStateSettings settings) : plan_(std::move(plan)), settings_(std::move(settings)) {
  for (const auto& step : plan_.steps) {
    const auto* teacher = step.teacher.empty() ? nullptr : find(step.teacher);
    const double work = work_per_image(step, teacher ? &teacher->arch : nullptr);
    // Twice the threads take half the time: near enough until a step of as many threads is measured.
    const auto threads = settings_.threads.find(step.name);
    work_[step.name] = threads == settings_.threads.end() ? work : work / static_cast<double>(threads->second);
  }
}

const PlannedStep* RunState::find(const std::string& step) const {
  for (const auto& planned : plan_.steps)
    if (planned.name == step) return &planned;
  return nullptr;
}

double RunState::images(const PlannedStep& step) const {
  if (step.kind == StepKind::given) return 0;
  return images_per_epoch(step) * static_cast<double>(step.settings.epochs);
}

double RunState::images_per_epoch(const PlannedStep& step) const {
  return static_cast<double>(settings_.training_images) * step.images_share;
}

std::string RunState::label(const std::string& step) const {
  for (size_t i = 0; i < plan_.steps.size(); ++i)
    if (plan_.steps[i].name == step) return format("[%zu/%zu] %s", i + 1, plan_.steps.size(), step.c_str());
  return step;
}

void RunState::start(const std::string& step, const std::vector<std::string>& remaining) {
  expect(remaining);
  // Only at the first: later ones may also be left out because a step that they need has failed.
  if (!has_started_ && !settings_.only_some)
    for (const auto& planned : plan_.steps)
      if (auto& view = steps_[planned.name];
          view.state == StepState::waiting && planned.name != step &&
          std::find(remaining.begin(), remaining.end(), planned.name) == remaining.end()) {
        view.state = StepState::done;
        view.was_already_done = true;
        view.test_top1_percent = -1;
      }
  has_started_ = true;
  steps_[step] = {};
  steps_[step].state = StepState::running;
}

void RunState::expect(const std::vector<std::string>& remaining) {
  for (const auto& name : remaining) {
    auto& step = steps_[name];
    if (step.state == StepState::done) step = {};  // its settings have changed
  }
}

void RunState::progress(const Progress& progress) {
  auto& view = steps_[progress.step];
  view.state = StepState::running;
  view.progress = progress;
  const auto* step = find(progress.step);
  if (!step || !(progress.images_per_second > 0)) return;
  const double images = static_cast<double>((progress.epoch - 1) * progress.batches + progress.batch) *
                        static_cast<double>(step->settings.batch_size);
  time_left_.measured(progress.step, step->kind, work(*step), images, images / progress.images_per_second);
}

void RunState::done(const StepResult& result, bool was_already_done) {
  if (const auto* step = find(result.step))
    time_left_.measured(result.step, step->kind, work(*step),
                        images_per_epoch(*step) * static_cast<double>(result.epochs), result.seconds);
  auto& view = steps_[result.step];
  view = {};
  view.state = StepState::done;
  view.was_already_done = was_already_done;
  view.test_top1_percent = result.test_top1_percent;
  view.seconds = result.seconds;
}

void RunState::fail(const std::string& step, const std::string& text) {
  steps_[step].state = StepState::failed;
  steps_[step].note = text;
}

void RunState::stop(const std::string& step) {
  const auto found = steps_.find(step);
  if (found != steps_.end() && found->second.state == StepState::running) found->second.state = StepState::stopped;
}

void RunState::stop_all() {
  for (const auto& step : plan_.steps) stop(step.name);
}

void RunState::note(const std::string& step, const std::string& text) { steps_[step].note = text; }

Progress RunState::last(const std::string& step) const {
  const auto found = steps_.find(step);
  return found == steps_.end() ? Progress{} : found->second.progress;
}

double RunState::seconds_left() const {
  std::vector<PendingStep> pending;
  // Those that run first: they have their places already.
  for (const auto state : {StepState::running, StepState::waiting})
    for (const auto& step : plan_.steps) {
      const auto found = steps_.find(step.name);
      if (found == steps_.end() || found->second.state != state) continue;
      PendingStep out;
      out.name = step.name;
      out.running = state == StepState::running;
      out.inputs = step.inputs();
      out.seconds = std::max(0.0, time_left_.seconds(step.kind, work(step), images(step)));
      const auto& last = found->second.progress;
      if (last.epochs > 0) out.seconds = std::isfinite(last.seconds_left_in_step) ? last.seconds_left_in_step : 0;
      pending.push_back(out);
    }
  return seconds_until_done(pending, settings_.jobs);
}

RunView RunState::view() const {
  RunView out;
  double all = 0, done = 0;
  for (const auto& step : plan_.steps) {
    const auto found = steps_.find(step.name);
    if (found == steps_.end()) continue;
    auto view = found->second;
    view.name = step.name;
    const double whole = images(step) > 0 ? work(step) * images(step) : 0;
    all += whole;
    done += whole * (view.state == StepState::done ? 1 : share_of(view.progress));
    out.steps.push_back(std::move(view));
  }
  const bool is_over = out.count(StepState::done) == static_cast<int64_t>(out.steps.size());
  // A given teacher alone is no work at all. Never 100 % before the end.
  out.share = is_over ? 1 : all > 0 ? std::min(done / all, 0.999) : 0;
  const bool knows = std::any_of(plan_.steps.begin(), plan_.steps.end(), [&](const PlannedStep& step) {
    return time_left_.seconds(step.kind, work(step), 1) >= 0;
  });
  if (knows) out.seconds_left = seconds_left();
  return out;
}

}  // namespace mfi
