#include "mfi/report/chart_scale.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/text.h"

namespace mfi {
namespace {

constexpr double kMost = 1e300, kLeast = 1e-300;  // of values, and of what lies between them
constexpr double kRounding = 1e-9;                // of a step: what division leaves of whole numbers

// Puts the ends in order and gives them room where they are the same.
void make_room(double& low, double& high) {
  if (!std::isfinite(low)) low = std::isfinite(high) ? high : 0;
  if (!std::isfinite(high)) high = low;
  if (low > high) std::swap(low, high);
  // So that they can be told apart, and what lies between them be reckoned.
  low = std::clamp(low, -kMost, kMost);
  high = std::clamp(high, -kMost, kMost);
  // Apart by no more than rounding is the same.
  if (high - low > std::max(kLeast, 1e-9 * std::max(std::abs(low), std::abs(high)))) return;
  const double room = std::abs(low) < kLeast ? 1 : 0.1 * std::abs(low);
  low -= room;
  high += room;
}

std::vector<double> multiples(double low, double high, double step) {
  const double first = std::floor(low / step + kRounding), last = std::ceil(high / step - kRounding);
  std::vector<double> out;
  for (double i = first; i <= last; ++i) out.push_back(i * step);
  return out;
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int most) {
  make_room(low, high);
  most = std::max(most, 2);
  double power = std::pow(10, std::floor(std::log10((high - low) / most)));
  for (;; power *= 10)
    for (const double digit : {1, 2, 5}) {
      const double step = digit * power;
      if (std::ceil(high / step - kRounding) - std::floor(low / step + kRounding) + 1 <= most)
        return multiples(low, high, step);
      // Two ticks around a zero that lies within never hold both ends: three are the least then.
      if (low < 0 && high > 0 && step > std::max(-low, high)) return {-step, 0, step};
    }
}

std::vector<double> nice_log_ticks(double low, double high, int most) {
  if (low > high) std::swap(low, high);
  most = std::max(most, 2);
  const auto decades = [&](const std::vector<double>& digits) {
    std::vector<double> all;
    const int first = static_cast<int>(std::floor(std::log10(low))) - 1;
    const int last = static_cast<int>(std::ceil(std::log10(high))) + 1;
    for (int power = first; power <= last; ++power)
      for (const double digit : digits) all.push_back(digit * std::pow(10, power));
    // From the last at or below `low` to the first at or above `high`.
    auto begin = std::upper_bound(all.begin(), all.end(), low * (1 + kRounding));
    if (begin != all.begin()) --begin;
    auto end = std::lower_bound(all.begin(), all.end(), high * (1 - kRounding));
    if (end == begin) ++end;
    return std::vector<double>(begin, end + 1);
  };
  for (const auto& digits : {std::vector<double>{1, 2, 5}, std::vector<double>{1}})
    if (const auto ticks = decades(digits); static_cast<int>(ticks.size()) <= most) return ticks;
  const auto all = decades({1});
  const size_t every = (all.size() + static_cast<size_t>(most) - 2) / (static_cast<size_t>(most) - 1);
  std::vector<double> out;
  for (size_t i = 0; i < all.size(); i += every) out.push_back(all[i]);
  if (out.back() < all.back()) out.push_back(out.back() * std::pow(10, static_cast<double>(every)));
  return out;
}

std::string tick_text(double value, const std::vector<double>& ticks) {
  double largest = 0, step = 0;
  for (size_t i = 0; i < ticks.size(); ++i) {
    largest = std::max(largest, std::abs(ticks[i]));
    const double distance = i > 0 ? std::abs(ticks[i] - ticks[i - 1]) : 0;
    if (distance > 0) step = step > 0 ? std::min(step, distance) : distance;
  }
  if (std::abs(value) < 1e-9 * largest) return "0";
  if (largest >= 10'000) {
    static constexpr struct {
      double size;
      const char* unit;
    } kUnits[] = {{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}};
    for (const auto& [size, unit] : kUnits)
      if (std::abs(value) >= size) return format("%.4g%s", value / size, unit);
    return format("%.4g", value);
  }
  if (largest < 1e-4 || step <= 0) return format("%.3g", value);
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - kRounding)), 0, 8);
  return format("%.*f", decimals, value);
}

ChartScale::ChartScale(std::vector<double> ticks, double from, double to, bool logarithmic)
    : ticks_(std::move(ticks)), from_(from), to_(to), logarithmic_(logarithmic) {}

double ChartScale::place(double value) const {
  const auto along = [this](double x) { return logarithmic_ ? std::log(x) : x; };
  const double low = along(ticks_.front()), high = along(ticks_.back());
  return from_ + (along(value) - low) / (high - low) * (to_ - from_);
}

}  // namespace mfi
