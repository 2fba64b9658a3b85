#include "mfi/report/console.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "mfi/core/text.h"

namespace mfi {
namespace {

double value_of(const Metrics& row, const std::string& name, double otherwise) {
  for (const auto& [key, value] : row)
    if (key == name) return value;
  return otherwise;
}

// "7.9 k images/s" says less than 7913; narrow networks reach five digits at most.
std::string speed_text(double images_per_second) { return format("%.0f images/s", images_per_second); }

// "4:05", "1:02:00": shorter than duration_text, and of a steady width while it counts down.
std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::max(0.0, seconds) + 0.5);
  if (whole < 3600) return format("%lld:%02lld", whole / 60, whole % 60);
  return format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

double epoch_percent(const Progress& progress) {
  return progress.batches > 0 ? 100.0 * static_cast<double>(progress.batch) / static_cast<double>(progress.batches) : 0;
}

}  // namespace

ConsoleObserver::ConsoleObserver(std::ostream& out, Plan plan, int64_t training_images, ConsoleSettings settings)
    : out_(out),
      plan_(std::move(plan)),
      training_images_(static_cast<double>(training_images)),
      settings_(std::move(settings)) {}

ConsoleObserver::~ConsoleObserver() {
  // The last position stays to be read: this is also how an interrupted run ends.
  if (live_line_) out_ << "\n" << std::flush;
}

const PlannedStep* ConsoleObserver::find(const std::string& step) const {
  for (const auto& planned : plan_.steps)
    if (planned.name == step) return &planned;
  return nullptr;
}

double ConsoleObserver::work(const PlannedStep& step) const {
  const auto* teacher = step.teacher.empty() ? nullptr : find(step.teacher);
  const double work = work_per_image(step, teacher ? &teacher->arch : nullptr);
  // Twice the threads take half the time: near enough until a step of as many threads is measured.
  const auto threads = settings_.threads.find(step.name);
  return threads == settings_.threads.end() ? work : work / static_cast<double>(threads->second);
}

std::string ConsoleObserver::label(const std::string& step) const {
  for (size_t i = 0; i < plan_.steps.size(); ++i)
    if (plan_.steps[i].name == step) return format("[%zu/%zu] %s", i + 1, plan_.steps.size(), step.c_str());
  return step;
}

void ConsoleObserver::on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) {
  const auto now = settings_.now();
  running_[step.name] = {{}, now};
  live_written_ = now;
  later_.clear();
  for (const auto* other : remaining)
    if (!running_.contains(other->name)) later_.push_back(other->name);
  if (settings_.style == ProgressStyle::none) return;
  print(label(step.name) + ": " + step.arch.name + ", " + step.purpose);
}

void ConsoleObserver::on_step_done(const StepResult& result, bool was_already_done) {
  if (const auto* step = find(result.step))
    time_left_.measured(result.step, step->kind, work(*step), training_images_ * static_cast<double>(result.epochs),
                        result.seconds);
  running_.erase(result.step);
  const auto accuracy = format("test top-1 %.2f %%", result.test_top1_percent);
  if (was_already_done) {
    if (settings_.style != ProgressStyle::none) print(label(result.step) + ": already done, " + accuracy);
    return;
  }
  print(label(result.step) + ": done, " + accuracy + ", " + duration_text(result.seconds));
  if (settings_.style == ProgressStyle::none) return;
  for (const auto& line : detail_lines(result.details)) print("      " + line);
}

void ConsoleObserver::on_step_failed(const std::string& step, const std::string& text) {
  running_.erase(step);
  if (settings_.style != ProgressStyle::none) print("failed: " + text);
}

void ConsoleObserver::on_progress(const Progress& progress) {
  auto& running = running_[progress.step];
  running.last = progress;
  if (const auto* step = find(progress.step); step && progress.images_per_second > 0) {
    const double images = static_cast<double>((progress.epoch - 1) * progress.batches + progress.batch) *
                          static_cast<double>(step->settings.batch_size);
    time_left_.measured(progress.step, step->kind, work(*step), images, images / progress.images_per_second);
  }
  if (settings_.style == ProgressStyle::none) return;

  const bool live = settings_.style == ProgressStyle::live;
  const auto now = settings_.now();
  auto& last_written = live ? live_written_ : running.last_written;
  const double since = std::chrono::duration<double>(now - last_written).count();
  if (since < (live ? settings_.live_seconds : settings_.plain_seconds)) return;
  last_written = now;
  if (!live) {
    print(progress_text(progress));
    return;
  }
  auto line = running_.size() > 1 ? beside_text() : live_text(progress);
  // The last column stays empty: some terminals wrap as soon as it is written.
  const size_t width = settings_.width();
  if (width > 1 && line.size() > width - 1) line.resize(width - 1);
  out_ << "\r" << line << "\x1b[K" << std::flush;
  live_line_ = true;
}

void ConsoleObserver::on_epoch(const std::string& step, const Metrics& row) {
  if (settings_.style == ProgressStyle::none) return;
  // A live line has shown all of this; between the steps' results it would be noise.
  if (settings_.style == ProgressStyle::live) return;
  auto& running = running_[step];
  const auto& last = running.last;
  std::vector<std::string> parts;
  double loss = value_of(row, "loss", last.loss);
  parts.push_back(format("loss %.4g", loss));
  if (const double train = value_of(row, "train_percent", -1); train >= 0)
    parts.push_back(format("train %.2f %%", train));
  if (const double held_out = value_of(row, "validation_top1_percent", -1); held_out >= 0)
    parts.push_back(format("validation %.2f %%", held_out));
  parts.push_back(speed_text(value_of(row, "images_per_second", last.images_per_second)));
  if (last.epochs > 0) {
    if (last.epoch < last.epochs) parts.push_back(duration_text(last.seconds_left_in_step) + " left in step");
    parts.push_back(duration_text(run_seconds_left()) + " in run");
  }
  print(format("%s: epoch %.0f/%lld, ", label(step).c_str(), value_of(row, "epoch", 0),
               static_cast<long long>(last.epochs)) +
        join(parts, ", "));
  running.last_written = settings_.now();
}

void ConsoleObserver::on_message(const std::string& text) {
  if (settings_.style != ProgressStyle::none) print(text);
}

std::string ConsoleObserver::progress_text(const Progress& progress) const {
  auto text = format("%s: epoch %lld/%lld %3.0f %%, loss %.4g", label(progress.step).c_str(),
                     static_cast<long long>(progress.epoch), static_cast<long long>(progress.epochs),
                     epoch_percent(progress), progress.loss);
  if (progress.accuracy_percent >= 0) text += format(", train %.1f %%", progress.accuracy_percent);
  text += ", " + speed_text(progress.images_per_second);
  text += ", " + duration_text(progress.seconds_left_in_step) + " left in step, ";
  return text + duration_text(run_seconds_left()) + " in run";
}

// What one looks for most comes first: a narrow terminal cuts the end off.
std::string ConsoleObserver::live_text(const Progress& progress) const {
  auto text =
      format("%s %lld/%lld %3.0f %%, left %s, run %s, loss %.4g", progress.step.c_str(),
             static_cast<long long>(progress.epoch), static_cast<long long>(progress.epochs), epoch_percent(progress),
             clock_text(progress.seconds_left_in_step).c_str(), clock_text(run_seconds_left()).c_str(), progress.loss);
  if (progress.accuracy_percent >= 0) text += format(", train %.1f %%", progress.accuracy_percent);
  return text + ", " + speed_text(progress.images_per_second);
}

// "incubate-1 1/1  50 %, incubate-2 1/1  40 %, run 1:50, 700 images/s"
std::string ConsoleObserver::beside_text() const {
  std::vector<std::string> parts;
  double speed = 0;
  for (const auto& step : plan_.steps) {
    const auto found = running_.find(step.name);
    if (found == running_.end()) continue;
    const auto& last = found->second.last;
    parts.push_back(last.epochs == 0
                        ? step.name + " starts"
                        : format("%s %lld/%lld %3.0f %%", step.name.c_str(), static_cast<long long>(last.epoch),
                                 static_cast<long long>(last.epochs), epoch_percent(last)));
    speed += last.images_per_second;
  }
  return join(parts, ", ") + ", run " + clock_text(run_seconds_left()) + ", " + speed_text(speed);
}

double ConsoleObserver::run_seconds_left() const {
  std::vector<PendingStep> pending;
  const auto add = [&](const std::string& name, const Progress* last) {
    PendingStep out;
    out.name = name;
    out.running = last != nullptr;
    if (const auto* step = find(name)) {
      out.inputs = step->inputs();
      const double images = training_images_ * static_cast<double>(step->settings.epochs);
      out.seconds = std::max(0.0, time_left_.seconds(step->kind, work(*step), images));
    }
    if (last && last->epochs > 0) out.seconds = last->seconds_left_in_step;
    pending.push_back(out);
  };
  for (const auto& [name, running] : running_) add(name, &running.last);
  for (const auto& name : later_) add(name, nullptr);
  return seconds_until_done(pending, settings_.jobs);
}

void ConsoleObserver::print(const std::string& line) {
  erase_live_line();
  out_ << line << "\n" << std::flush;
}

void ConsoleObserver::erase_live_line() {
  if (live_line_) out_ << "\r\x1b[K";
  live_line_ = false;
}

std::vector<std::string> detail_lines(const Metrics& details) {
  std::vector<std::string> lines;
  std::string last_stage;
  for (const auto& [name, value] : details) {
    const auto split = name.find('_');
    const auto stage = name.substr(0, split);
    const auto what = split == std::string::npos ? "" : name.substr(split + 1);
    if (stage != last_stage) lines.push_back(stage + ":");
    auto& line = lines.back();
    if (what.starts_with("error_")) {
      auto steps = what.substr(6);  // "1step", "2steps"
      steps.insert(std::min(steps.find_first_not_of("0123456789"), steps.size()), 1, ' ');
      line += format("%s %.3f in %s", line.ends_with(":") ? " relative error" : ",", value, steps.c_str());
    } else if (what.starts_with("swap_in_") && what != "swap_in_percent") {
      // In other numbers of steps than its own: for the report, where there is room for them.
    } else {
      line += line.ends_with(":") ? " " : "; ";
      if (what == "swap_in_percent")
        line += format("swapped in %.2f %%", value);
      else if (what == "percent")
        line += format("test top-1 %.2f %%", value);
      else
        line += format("%s %.4g", what.c_str(), value);
    }
    last_stage = stage;
  }
  return lines;
}

}  // namespace mfi
