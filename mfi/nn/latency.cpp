#include "mfi/nn/latency.h"

#include <algorithm>
#include <chrono>

#include "mfi/core/stop_signal.h"
#include "mfi/nn/fold.h"

namespace mfi {
namespace {

// Of a turn: enough for a median; a large network's runs are ended by the clock, after the least of them.
constexpr int kWarmUp = 3, kRuns = 9, kLeastRuns = 3;
constexpr double kMostSeconds = 1;
constexpr int kTurns = 5, kMostTurns = 15;

double at_share(std::vector<double> values, double share) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

PartTimes measure_turn(const Network& network, int64_t images) {
  torch::NoGradGuard no_grad;
  using Clock = std::chrono::steady_clock;
  const auto folded = fold(network);
  folded->to(torch::kCPU);
  const auto& arch = folded->arch();
  std::vector<std::vector<double>> parts(folded->part_count());
  std::vector<double> wholes;
  const auto input = torch::randn({images, arch.in_channels, arch.image_size, arch.image_size})
                         .contiguous(torch::MemoryFormat::ChannelsLast);
  const auto begin = Clock::now();
  for (int run = 0; run < kWarmUp + kRuns; ++run) {
    auto value = input;
    double whole = 0;
    for (size_t part = 0; part < folded->part_count(); ++part) {
      const auto start = Clock::now();
      value = folded->run(value, part, part + 1);
      const double milliseconds = 1e3 * std::chrono::duration<double>(Clock::now() - start).count();
      whole += milliseconds;
      if (run >= kWarmUp) parts[part].push_back(milliseconds);
    }
    if (run >= kWarmUp) wholes.push_back(whole);
    const double since = std::chrono::duration<double>(Clock::now() - begin).count();
    if (since > kMostSeconds && wholes.size() >= kLeastRuns) break;
  }
  PartTimes out;
  for (const auto& part : parts) out.milliseconds.push_back(at_share(part, 0.5));
  out.whole = at_share(wholes, 0.5);
  return out;
}

// Of one network's turns.
PartTimes median_of(const std::vector<PartTimes>& turns) {
  const auto median = [&](const auto& of) {
    std::vector<double> values;
    for (const auto& turn : turns) values.push_back(of(turn));
    return std::pair{at_share(values, 0.5), at_share(values, 0.75) - at_share(values, 0.25)};
  };
  PartTimes out;
  for (size_t part = 0; part < turns[0].milliseconds.size(); ++part)
    out.milliseconds.push_back(median([&](const auto& turn) { return turn.milliseconds[part]; }).first);
  const auto [whole, between] = median([](const auto& turn) { return turn.whole; });
  out.whole = whole;
  out.spread = between / whole;
  return out;
}

}  // namespace

std::vector<PartTimes> times_by_turns(size_t count, const std::function<PartTimes(size_t)>& measure) {
  std::vector<std::vector<PartTimes>> turns(count);
  std::vector<PartTimes> out;
  for (int turn = 1; turn <= kMostTurns; ++turn) {
    for (size_t i = 0; i < count; ++i) turns[i].push_back(measure(i));
    if (turn % kTurns != 0) continue;
    out.clear();
    for (const auto& of_one : turns) out.push_back(median_of(of_one));
    // All of them go on, the calm ones too: turns of another minute do not compare.
    if (worst_spread(out) <= kLargestSpread) break;
  }
  return out;
}

std::vector<PartTimes> measure_by_turns(size_t count, const std::function<std::shared_ptr<const Network>(size_t)>& make,
                                        int64_t images) {
  return times_by_turns(count, [&](size_t i) {
    throw_if_stopped();
    return measure_turn(*make(i), images);
  });
}

std::vector<PartTimes> measure_by_turns(const std::shared_ptr<const Network>& one,
                                        const std::shared_ptr<const Network>& other, int64_t images) {
  return measure_by_turns(
      2, [&](size_t i) { return i == 0 ? one : other; }, images);
}

double worst_spread(const std::vector<PartTimes>& times) {
  double worst = 0;
  for (const auto& each : times) worst = std::max(worst, each.spread);
  return worst;
}

}  // namespace mfi
