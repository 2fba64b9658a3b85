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

double epoch_percent(const Progress& progress) {
  return progress.batches > 0 ? 100.0 * static_cast<double>(progress.batch) / static_cast<double>(progress.batches) : 0;
}

}  // namespace

ConsoleObserver::ConsoleObserver(std::ostream& out, Plan plan, int64_t training_images, ConsoleSettings settings)
    : out_(out),
      settings_(std::move(settings)),
      state_(std::move(plan), {training_images, settings_.jobs, settings_.threads, settings_.only_some}),
      area_(out) {}

ConsoleObserver::~ConsoleObserver() {
  if (!is_drawn_) return;
  state_.stop_all();
  draw();
}

void ConsoleObserver::on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) {
  std::vector<std::string> names;
  for (const auto* other : remaining) names.push_back(other->name);
  state_.start(step.name, names);
  last_line_[step.name] = settings_.now();
  if (is_live())
    draw();
  else if (settings_.style == ProgressStyle::plain)
    print(state_.label(step.name) + ": " + step.arch.name + ", " + step.purpose);
}

void ConsoleObserver::on_step_done(const StepResult& result, bool was_already_done) {
  state_.done(result, was_already_done);
  if (is_live()) {
    if (!was_already_done)
      for (const auto& line : detail_lines(result.details)) print(result.step + ": " + line);
    draw();
    return;
  }
  const auto label = state_.label(result.step);
  // What a search trains is not tested.
  const auto accuracy =
      result.test_top1_percent < 0 ? std::string() : format(", test top-1 %.2f %%", result.test_top1_percent);
  if (was_already_done) {
    if (settings_.style != ProgressStyle::none) print(label + ": already done" + accuracy);
    return;
  }
  print(label + ": done" + accuracy + ", " + duration_text(result.seconds));
  if (settings_.style == ProgressStyle::none) return;
  for (const auto& line : detail_lines(result.details)) print("      " + line);
}

void ConsoleObserver::on_step_failed(const std::string& step, const std::string& text) {
  state_.fail(step, text);
  if (settings_.style == ProgressStyle::none) return;
  print("failed: " + text);
  if (is_live()) draw();
}

void ConsoleObserver::on_progress(const Progress& progress) {
  state_.progress(progress);
  if (settings_.style == ProgressStyle::none) return;
  const auto now = settings_.now();
  auto& last = is_live() ? last_drawn_ : last_line_[progress.step];
  const double since = std::chrono::duration<double>(now - last).count();
  if (since < (is_live() ? settings_.live_seconds : settings_.plain_seconds)) return;
  last = now;
  if (is_live())
    draw();
  else
    print(progress_text(progress));
}

void ConsoleObserver::on_epoch(const std::string& step, const Metrics& row) {
  // A live drawing has shown all of this; above it, it would be noise.
  if (settings_.style != ProgressStyle::plain) return;
  const auto last = state_.last(step);
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
    parts.push_back(duration_text(state_.seconds_left()) + " left in run");
  }
  print(format("%s: epoch %.0f/%lld, ", state_.label(step).c_str(), value_of(row, "epoch", 0),
               static_cast<long long>(last.epochs)) +
        join(parts, ", "));
  last_line_[step] = settings_.now();
}

void ConsoleObserver::on_message(const std::string& text) {
  if (settings_.style != ProgressStyle::none) print(text);
}

std::string ConsoleObserver::progress_text(const Progress& progress) const {
  auto text = format("%s: epoch %lld/%lld %3.0f %%, loss %.4g", state_.label(progress.step).c_str(),
                     static_cast<long long>(progress.epoch), static_cast<long long>(progress.epochs),
                     epoch_percent(progress), progress.loss);
  if (progress.accuracy_percent >= 0) text += format(", train %.1f %%", progress.accuracy_percent);
  text += ", " + speed_text(progress.images_per_second);
  text += ", " + duration_text(progress.seconds_left_in_step) + " left in step, ";
  return text + duration_text(state_.seconds_left()) + " left in run";
}

void ConsoleObserver::print(const std::string& line) {
  if (is_live())
    area_.print_above(line, settings_.size().columns);
  else
    out_ << line << "\n" << std::flush;
}

void ConsoleObserver::draw() {
  const auto size = settings_.size();
  area_.draw(draw_view(state_.view(), {size.columns, size.rows, settings_.colour, settings_.unicode}), size.columns);
  last_drawn_ = settings_.now();
  is_drawn_ = true;
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
    } else if (what == "error") {
      line += format(" relative error %.3f", value);
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
