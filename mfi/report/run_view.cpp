#include "mfi/report/run_view.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/text.h"
#include "mfi/report/columns.h"

namespace mfi {
namespace {

const char* mark_of(StepState state, bool unicode) {
  switch (state) {
    case StepState::waiting:
      return unicode ? "· " : "  ";
    case StepState::running:
      return unicode ? "▸ " : "> ";
    case StepState::stopped:
      return unicode ? "■ " : "- ";
    case StepState::failed:
      return unicode ? "✗ " : "x ";
    case StepState::done:
      return unicode ? "✓ " : "+ ";
  }
  return "  ";
}

Look look_of(StepState state) {
  switch (state) {
    case StepState::waiting:
      return Look::faint;
    case StepState::running:
      return Look::bold;
    case StepState::failed:
      return Look::red;
    case StepState::done:
      return Look::green;
    case StepState::stopped:
      break;
  }
  return Look::plain;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::vector<ViewField> progress_fields(const Progress& progress, bool running) {
  const auto epochs = std::to_string(progress.epochs);
  const auto epoch =
      format("%*lld/%s", static_cast<int>(epochs.size()), static_cast<long long>(progress.epoch), epochs.c_str());
  std::vector<ViewField> out;
  // Padded, so that nothing jumps about while the numbers change.
  if (running) {
    const auto left = padded(clock_text(progress.seconds_left_in_step) + " left", 9);
    out.push_back({4, left, left});
  }
  out.push_back({0, "epoch " + epoch, epoch});
  out.push_back({1, padded(format("loss %.4g", progress.loss), 11), padded(format("loss %.3g", progress.loss), 10)});
  if (progress.accuracy_percent >= 0) {
    const auto accuracy = format("train %4.1f %%", progress.accuracy_percent);
    out.push_back({2, accuracy, accuracy});
  }
  if (running)
    out.push_back({3, padded(format("%.0f images/s", progress.images_per_second), 13),
                   padded(format("%.0f/s", progress.images_per_second), 6)});
  return out;
}

class Drawing {
 public:
  Drawing(const RunView& view, const ViewStyle& style) : view_(view), style_(style) {
    for (const auto& step : view.steps) name_width_ = std::max(name_width_, columns_of(step.name));
    // Longer names would leave no room for the bar on a narrow terminal.
    name_width_ = std::min(name_width_, std::max<size_t>(3, style.columns / 2 > 6 ? style.columns / 2 - 4 : 3));
  }

  std::vector<ScreenLine> draw() {
    // One row for the cursor, one for the run.
    const size_t rows = style_.rows > 2 ? style_.rows - 2 : 0;
    const auto count = [&](StepState state) { return static_cast<size_t>(view_.count(state)); };
    const size_t done = count(StepState::done), waiting = count(StepState::waiting);
    size_t needs = 0;
    for (const auto& step : view_.steps) needs += 1 + (has_note_line(step) ? 1 : 0);
    const bool fold_done = needs > rows && done > 1;
    if (fold_done) needs -= done - 1;
    const bool fold_waiting = needs > rows && waiting > 1;
    if (fold_waiting) needs -= waiting - 1;

    std::vector<ScreenLine> head, active, tail;
    if (fold_done) head.push_back(folded(StepState::done, format("%zu steps done", done)));
    bool first_waiting = true;
    for (const auto& step : view_.steps) {
      if (step.state == StepState::done && fold_done) continue;
      if (step.state == StepState::waiting && fold_waiting) {
        if (first_waiting) tail.push_back(folded(StepState::waiting, format("%zu waiting", waiting)));
        first_waiting = false;
        continue;
      }
      active.push_back(step_line(step));
      if (has_note_line(step)) active.push_back(note_line(step));
    }
    const size_t room = rows > head.size() + tail.size() ? rows - head.size() - tail.size() : 0;
    if (active.size() > room) {
      const size_t shown = room > 1 ? room - 1 : 0;
      const size_t left_out = active.size() - shown;
      active.resize(shown);
      if (room > 0) active.push_back(folded(StepState::running, format("%zu more lines", left_out)));
    }
    std::vector<ScreenLine> out;
    for (auto* part : {&head, &active, &tail}) out.insert(out.end(), part->begin(), part->end());
    if (out.size() > rows) out.resize(rows);
    out.push_back(run_line());
    return out;
  }

 private:
  static bool has_note_line(const StepView& step) { return step.state == StepState::running && !step.note.empty(); }

  ViewLine begin(StepState state, const std::string& name) const {
    ViewLine line(style_);
    auto fitted = fit_columns(name, name_width_);
    fitted.text.append(name_width_ - fitted.columns, ' ');
    line.add(mark_of(state, style_.unicode), look_of(state));
    line.add(fitted.text, state == StepState::done ? Look::plain : look_of(state));
    line.add(style_.columns < 60 ? " " : "  ");
    return line;
  }

  ScreenLine folded(StepState state, const std::string& text) const {
    ViewLine line(style_);
    line.add(mark_of(state, style_.unicode), look_of(state));
    line.add(text, state == StepState::done ? Look::plain : look_of(state));
    return line.get();
  }

  ScreenLine note_line(const StepView& step) const {
    ViewLine line(style_);
    line.add("    " + step.note, Look::red);
    return line.get();
  }

  ScreenLine step_line(const StepView& step) const {
    auto line = begin(step.state, step.name);
    const bool has_progress = step.progress.epochs > 0;
    switch (step.state) {
      case StepState::waiting:
        line.add("waiting", Look::faint);
        break;
      case StepState::running:
        if (has_progress)
          line.add_bar_and_fields(share_of(step.progress), progress_fields(step.progress, true));
        else
          line.add("starts");
        break;
      case StepState::stopped:
        if (has_progress)
          line.add_bar_and_fields(share_of(step.progress), progress_fields(step.progress, false));
        else
          line.add("stopped");
        break;
      case StepState::failed:
        line.add("failed: " + step.note, Look::red);
        break;
      case StepState::done:
        if (step.test_top1_percent < 0) {
          line.add(step.was_already_done ? "already done" : "done, " + duration_text(step.seconds));
          break;
        }
        line.add_whole(
            {format("test top-1 %6.2f %%", step.test_top1_percent), format("%.2f %%", step.test_top1_percent)});
        line.add_whole({"  " + (step.was_already_done ? "already done" : duration_text(step.seconds))});
        break;
    }
    return line.get();
  }

  ScreenLine run_line() const {
    ViewLine line(style_);
    line.add(std::string("  ") + "run" + std::string(name_width_ > 3 ? name_width_ - 3 : 0, ' '));
    line.add(style_.columns < 60 ? " " : "  ");
    std::vector<ViewField> fields;
    const auto done = view_.count(StepState::done), all = static_cast<int64_t>(view_.steps.size());
    if (done < all && view_.seconds_left >= 0 && view_.count(StepState::running) > 0)
      fields.push_back({1, clock_text(view_.seconds_left) + " left", clock_text(view_.seconds_left) + " left"});
    const auto of = format("%lld of %lld", static_cast<long long>(done), static_cast<long long>(all));
    fields.push_back({0, of + " steps done", of + " done"});
    line.add_bar_and_fields(view_.share, fields);
    return line.get();
  }

  const RunView& view_;
  const ViewStyle& style_;
  size_t name_width_ = 3;
};

}  // namespace

const char* name_of(StepState state) {
  switch (state) {
    case StepState::waiting:
      return "waiting";
    case StepState::running:
      return "running";
    case StepState::stopped:
      return "stopped";
    case StepState::failed:
      return "failed";
    case StepState::done:
      return "done";
  }
  return "";
}

int64_t RunView::count(StepState state) const {
  return std::count_if(steps.begin(), steps.end(), [&](const StepView& step) { return step.state == state; });
}

double share_of(const Progress& progress) {
  if (progress.epochs <= 0) return 0;
  const double epochs_before = static_cast<double>(std::max<int64_t>(progress.epoch, 1) - 1);
  const double epoch =
      progress.batches > 0 ? static_cast<double>(progress.batch) / static_cast<double>(progress.batches) : 0;
  return std::clamp((epochs_before + epoch) / static_cast<double>(progress.epochs), 0.0, 1.0);
}

std::string clock_text(double seconds) {
  // Whatever a damaged file says; a year of seconds is more than anybody waits.
  const double known = std::isfinite(seconds) ? std::clamp(seconds, 0.0, 3.2e7) : 0;
  const auto whole = static_cast<long long>(known + 0.5);
  if (whole < 3600) return format("%lld:%02lld", whole / 60, whole % 60);
  return format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

ScreenLine text_line(const std::string& text, const ViewStyle& style) {
  ViewLine line(style);
  line.add(text);
  return line.get();
}

std::vector<ScreenLine> draw_view(const RunView& view, const ViewStyle& style) { return Drawing(view, style).draw(); }

}  // namespace mfi
