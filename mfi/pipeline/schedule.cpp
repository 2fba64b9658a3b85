#include "mfi/pipeline/schedule.h"

#include <algorithm>
#include <set>
#include <utility>

namespace mfi {
namespace {

// Every step's inputs, their inputs and so on.
std::map<std::string, std::set<std::string>> all_inputs(const Plan& plan) {
  std::map<std::string, std::set<std::string>> out;
  for (const auto& step : plan.steps) {  // a plan's inputs stand before what needs them
    auto& mine = out[step.name];
    for (const auto& input : step.inputs()) {
      mine.insert(input);
      mine.insert(out[input].begin(), out[input].end());
    }
  }
  return out;
}

}  // namespace

std::map<std::string, int64_t> threads_of_steps(const Plan& plan, int64_t jobs, int64_t cores, int64_t fixed) {
  const auto before = all_inputs(plan);
  std::map<std::string, int64_t> out;
  for (const auto& step : plan.steps) {
    const bool has_company = std::any_of(plan.steps.begin(), plan.steps.end(), [&](const PlannedStep& other) {
      return other.name != step.name && !before.at(step.name).contains(other.name) &&
             !before.at(other.name).contains(step.name);
    });
    const int64_t share = has_company ? std::max<int64_t>(1, cores / jobs) : cores;
    out[step.name] = fixed > 0 ? fixed : share;
  }
  return out;
}

Schedule::Schedule(const Plan& plan, int64_t jobs, std::vector<int> cpus, std::map<std::string, int64_t> threads)
    : plan_(plan), jobs_(jobs), cpu_count_(cpus.size()), free_(std::move(cpus)), threads_(std::move(threads)) {
  std::sort(free_.begin(), free_.end());
  for (const auto& step : plan.steps) states_[step.name] = State::waiting;
}

std::vector<const PlannedStep*> Schedule::ready() const {
  std::vector<const PlannedStep*> out;
  for (const auto& step : plan_.steps) {
    const auto inputs = step.inputs();
    if (states_.at(step.name) == State::waiting &&
        std::all_of(inputs.begin(), inputs.end(), [&](const auto& input) { return states_.at(input) == State::done; }))
      out.push_back(&step);
  }
  return out;
}

std::optional<std::vector<int>> Schedule::start(const PlannedStep& step) {
  const size_t wanted = std::min(static_cast<size_t>(threads(step)), cpu_count_);
  if (static_cast<int64_t>(running_.size()) >= jobs_ || free_.size() < wanted) return std::nullopt;
  const auto end = free_.begin() + static_cast<std::ptrdiff_t>(wanted);
  std::vector<int> mine(free_.begin(), end);
  free_.erase(free_.begin(), end);
  states_[step.name] = State::running;
  return running_[step.name] = mine;
}

void Schedule::ended(const PlannedStep& step, bool well) {
  states_[step.name] = well ? State::done : State::failed;
  if (const auto found = running_.find(step.name); found != running_.end()) {
    free_.insert(free_.end(), found->second.begin(), found->second.end());
    std::sort(free_.begin(), free_.end());
    running_.erase(found);
  }
}

bool Schedule::needs_failed(const PlannedStep& step) const {
  const auto inputs = step.inputs();
  return std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) {
    return states_.at(input) == State::failed || needs_failed(plan_.step(input));
  });
}

std::vector<std::string> Schedule::cut_off() const {
  std::vector<std::string> out;
  for (const auto& step : plan_.steps)
    if (needs_failed(step)) out.push_back(step.name);
  return out;
}

}  // namespace mfi
