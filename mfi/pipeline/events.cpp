#include "mfi/pipeline/events.h"

#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "mfi/core/json_number.h"
#include "mfi/pipeline/progress_json.h"

namespace mfi {
namespace {

using Json = nlohmann::ordered_json;

void write_line(std::ostream& out, const Json& json) { out << json_line(json) << std::endl; }

}  // namespace

EventWriter::EventWriter(std::ostream& out, double progress_seconds,
                         std::function<std::chrono::steady_clock::time_point()> now)
    : out_(out), progress_seconds_(progress_seconds), now_(std::move(now)) {}

void EventWriter::on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) {
  Json names = Json::array();
  for (const auto* other : remaining) names.push_back(other->name);
  write_line(out_, {{"event", "start"}, {"step", step.name}, {"remaining", names}});
}

void EventWriter::on_step_done(const StepResult& result, bool was_already_done) {
  write_line(out_, {{"event", "done"},
                    {"step", result.step},
                    {"was_already_done", was_already_done},
                    {"test_top1_percent", result.test_top1_percent < 0 ? Json() : Json(result.test_top1_percent)},
                    {"seconds", result.seconds}});
}

void EventWriter::on_step_failed(const std::string& step, const std::string& text) {
  write_line(out_, {{"event", "failed"}, {"step", step}, {"text", text}});
}

void EventWriter::on_progress(const Progress& progress) {
  auto& [last_written, pending] = steps_[progress.step];
  const auto now = now_();
  if (last_written && std::chrono::duration<double>(now - *last_written).count() < progress_seconds_) {
    pending = progress;
    return;
  }
  last_written = now;
  pending.reset();
  write_progress(progress);
}

void EventWriter::write_progress(const Progress& progress) {
  Json json{{"event", "progress"}};
  json.update(progress_to_json(progress));
  write_line(out_, json);
}

void EventWriter::on_phase(const std::string& step, const std::string& phase) {
  write_line(out_, {{"event", "phase"}, {"step", step}, {"phase", phase}});
}

void EventWriter::on_epoch(const std::string& step, const Metrics& row) {
  if (auto& pending = steps_[step].pending) {
    write_progress(*pending);
    pending.reset();
  }
  Json metrics = Json::object();
  for (const auto& [name, value] : row) metrics[name] = value;
  write_line(out_, {{"event", "epoch"}, {"step", step}, {"metrics", metrics}});
}

void EventWriter::on_message(const std::string& text) { write_line(out_, {{"event", "message"}, {"text", text}}); }

bool replay_event(const std::string& line, Observer& observer) {
  if (!line.starts_with("{\"event\":")) return false;
  try {
    const auto json = Json::parse(line);
    const std::string event = json.at("event");
    if (event == "progress") {
      observer.on_progress(progress_from_json(json));
    } else if (event == "phase") {
      observer.on_phase(json.at("step"), json.at("phase"));
    } else if (event == "epoch") {
      Metrics row;
      for (const auto& item : json.at("metrics").items()) row.emplace_back(item.key(), number_from_json(item.value()));
      observer.on_epoch(json.at("step"), row);
    } else if (event == "message") {
      observer.on_message(json.at("text"));
    }
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace mfi
