#include "mfi/nn/latency.h"

#include <algorithm>
#include <chrono>

#include "mfi/nn/fold.h"

namespace mfi {
namespace {

// Enough for a median; a large network's runs are ended by the clock, after the least of them.
constexpr int kWarmUp = 3, kRuns = 25, kLeastRuns = 5;
constexpr double kMostSeconds = 4;
constexpr int kAttempts = 3;

double at_share(std::vector<double> values, double share) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

double spread_of(const PartTimes& times) { return times.spread; }
double spread_of(const PairTimes& times) { return std::max(times.teacher.spread, times.hybrid.spread); }

// The calmest of what some attempts give; more than one is made only where the first is not calm.
template <class Measure>
auto calmest(const Measure& measure) {
  auto best = measure();
  for (int attempt = 1; attempt < kAttempts && spread_of(best) > kLargestSpread; ++attempt) {
    const auto times = measure();
    if (spread_of(times) < spread_of(best)) best = times;
  }
  return best;
}

}  // namespace

PartTimes measure_parts(const Network& network, int64_t images) {
  torch::NoGradGuard no_grad;
  using Clock = std::chrono::steady_clock;
  const auto folded = fold(network);
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
  out.spread = (at_share(wholes, 0.75) - at_share(wholes, 0.25)) / out.whole;
  return out;
}

PairTimes measure_pair(const Network& teacher, const Network& hybrid, int64_t images) {
  return calmest([&] { return PairTimes{measure_parts(teacher, images), measure_parts(hybrid, images)}; });
}

PartTimes measure_calmly(const Network& network, int64_t images) {
  return calmest([&] { return measure_parts(network, images); });
}

}  // namespace mfi
