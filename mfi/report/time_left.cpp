#include "mfi/report/time_left.h"

#include <algorithm>

#include "mfi/nn/cost.h"

namespace mfi {
namespace {

// From training steps of narrow ResNets on two AMX cores, where two thirds of the time went there.
constexpr double kMacsPerActivation = 300;

// A forward pass, and a backward one of twice the work.
constexpr double kOwnAndBackward = 3;

double work(const Cost& cost) {
  return static_cast<double>(cost.macs) + kMacsPerActivation * static_cast<double>(cost.activations);
}

double forward_work(const Arch& arch) { return work(total_cost(arch)); }

}  // namespace

double work_per_image(const PlannedStep& step, const Arch* teacher) {
  double sum = teacher ? forward_work(*teacher) : 0;
  const auto parts = part_costs(step.arch);

  if (step.kind == StepKind::map) {
    // The teacher's features are the inputs, so a stage costs what its own terms cost, each with
    // backward. The JVP of the samples with r != t is one more forward pass with tangents.
    const auto& objective = step.objective;
    double passes = 0;
    if (objective.meanflow > 0) passes += kOwnAndBackward + 2 * (1 - objective.r_equals_t);
    if (objective.endpoint > 0) passes += kOwnAndBackward;
    if (objective.regression > 0) passes += kOwnAndBackward;
    for (size_t stage = 0; stage < step.arch.stages.size(); ++stage)
      if (step.learns[stage + 1] != Learns::nothing)
        sum += (step.arch.stages[stage].is_flow() ? passes : kOwnAndBackward) * work(parts[stage + 1]);
    return sum;
  }

  bool graph = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool learns = i < step.learns.size() && step.learns[i] != Learns::nothing;
    sum += work(parts[i]) * (1 + (graph ? 1 : 0) + (learns ? 1 : 0));
    graph = graph || learns;
  }
  return sum;
}

void TimeLeft::measured(const std::string& step, StepKind kind, double work_per_image, double images, double seconds) {
  steps_[step] = {kind, work_per_image * images, seconds};
}

double TimeLeft::seconds(StepKind kind, double work_per_image, double images) const {
  double work = 0, seconds = 0, same_work = 0, same_seconds = 0;
  for (const auto& [name, step] : steps_) {
    if (!(step.work > 0)) continue;  // nothing was trained, so it tells no speed
    work += step.work;
    seconds += step.seconds;
    if (step.kind == kind) {
      same_work += step.work;
      same_seconds += step.seconds;
    }
  }
  if (same_work > 0) return work_per_image * images * same_seconds / same_work;
  if (work > 0) return work_per_image * images * seconds / work;
  return -1;
}

// Plays the run through, from one step's end to the next.
double seconds_until_done(const std::vector<PendingStep>& steps, int64_t jobs) {
  constexpr double kWaiting = -1;
  std::vector<double> ends;  // of each step
  std::map<std::string, size_t> pending;
  int64_t running = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    pending[steps[i].name] = i;
    ends.push_back(steps[i].running ? steps[i].seconds : kWaiting);
    running += steps[i].running ? 1 : 0;
  }
  std::vector<bool> ended(steps.size(), false);
  double now = 0;
  for (;;) {
    for (size_t i = 0; i < steps.size() && running < jobs; ++i) {
      if (ends[i] != kWaiting) continue;
      const bool can_start = std::all_of(steps[i].inputs.begin(), steps[i].inputs.end(), [&](const auto& input) {
        const auto found = pending.find(input);
        return found == pending.end() || ended[found->second];
      });
      if (!can_start) continue;
      ends[i] = now + steps[i].seconds;
      ++running;
    }
    size_t next = steps.size();
    for (size_t i = 0; i < steps.size(); ++i)
      if (!ended[i] && ends[i] != kWaiting && (next == steps.size() || ends[i] < ends[next])) next = i;
    if (next == steps.size()) return now;  // none is left, or what is left waits for what is not among these
    now = ends[next];
    ended[next] = true;
    --running;
  }
}

}  // namespace mfi
