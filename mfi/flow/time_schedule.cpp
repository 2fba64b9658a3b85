#include "mfi/flow/time_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace mfi {
namespace {

// Two independent standard normal numbers (Box and Muller 1958).
std::pair<double, double> normal_pair(RandomStream& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));  // 1 - uniform is never 0
  const double angle = 2 * std::numbers::pi * random.uniform();
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

Times TimeSchedule::draw(int64_t samples, const Interval& interval, RandomStream& random,
                         const BatchShare& share) const {
  Times times;
  times.distinct = std::llround((1 - r_equals_t) * static_cast<double>(samples));
  times.r = torch::empty({samples}, torch::kFloat64);
  times.t = torch::empty({samples}, torch::kFloat64);
  auto* r = times.r.data_ptr<double>();
  auto* t = times.t.data_ptr<double>();
  const double length = interval.t - interval.r;
  for (int64_t i = 0; i < samples; ++i) {
    const auto [a, b] = normal_pair(random);
    const double first = interval.r + length * sigmoid(mean + stddev * a);
    const double second = interval.r + length * sigmoid(mean + stddev * b);
    t[i] = std::max(first, second);
    r[i] = i < times.distinct ? std::min(first, second) : t[i];
  }
  if (share.count > 1) {
    times.r = times.r.slice(0, share.index, samples, share.count).contiguous();
    times.t = times.t.slice(0, share.index, samples, share.count).contiguous();
    times.distinct = share.of(times.distinct);
  }
  return times;
}

}  // namespace mfi
