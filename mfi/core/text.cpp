#include "mfi/core/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <numeric>

namespace mfi {

std::string format(const char* pattern, ...) {
  va_list arguments, again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, pattern, arguments);
  va_end(arguments);
  std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
  // vsnprintf also writes the final zero, which std::string keeps room for.
  if (length > 0) std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  return text;
}

std::string join(const std::vector<std::string>& items, std::string_view separator) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += separator;
    text += items[i];
  }
  return text;
}

namespace {

// Levenshtein's, but two neighbouring letters that have changed places are one edit and not two: the commonest slip.
size_t edit_distance(std::string_view a, std::string_view b) {
  // Distances from a's first i, i - 1 and i - 2 letters to b's first j.
  std::vector<size_t> row(b.size() + 1), above(b.size() + 1), above_that(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(above_that, above);
    std::swap(above, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replace, above[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], above_that[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = word.size() / 3 + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string shortened(std::string_view text) {
  constexpr size_t kLongest = 120;
  return text.size() <= kLongest ? std::string(text) : std::string(text.substr(0, kLongest)) + "...";
}

std::string count_text(double count) {
  if (!std::isfinite(count)) return "?";
  struct Unit {
    double from;  // where the next smaller unit would round to 1000
    double size;
    const char* pattern;
  };
  static constexpr std::array<Unit, 4> kUnits{{{1e12 - 5e6, 1e12, "%.2f T"},
                                               {1e9 - 5e3, 1e9, "%.2f G"},
                                               {1e6 - 50, 1e6, "%.2f M"},
                                               {1e3 - 0.05, 1e3, "%.1f k"}}};
  for (const Unit& unit : kUnits)
    if (std::abs(count) >= unit.from) return format(unit.pattern, count / unit.size);
  return format(count == std::floor(count) ? "%.0f" : "%.1f", count);
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 0) return format("-%s", duration_text(-seconds).c_str());
  if (seconds < 59.95) return format("%.1f s", seconds);
  const long long whole = std::llround(seconds);
  if (whole < 3600) return format("%lld min %02lld s", whole / 60, whole % 60);
  const long long minutes = std::llround(seconds / 60);
  return format("%lld h %02lld min", minutes / 60, minutes % 60);
}

std::string bytes_text(double bytes) {
  if (!std::isfinite(bytes)) return "?";
  static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 1023.5 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  const double tenths = std::round(bytes * 10);
  const bool fraction = unit > 0 && std::abs(tenths) < 100 && std::fmod(tenths, 10) != 0;
  return format(fraction ? "%.1f %s" : "%.0f %s", bytes, kUnits[unit]);
}

std::string utc_time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace mfi
