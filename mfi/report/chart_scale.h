// From numbers to places along a chart's axis.
#pragma once

#include <string>
#include <vector>

namespace mfi {

/// Multiples of 1, 2 or 5 times a power of ten from the last at or below `low` to the first at or above `high`, at most
/// `most` (at least 2) of them. Any order; equal or non-finite ends are given some room.
std::vector<double> nice_ticks(double low, double high, int most);

/// The same for a logarithmic axis: 1, 2 and 5 times powers of ten where there is room for them, else powers of ten.
/// low must be above 0.
std::vector<double> nice_log_ticks(double low, double high, int most);

/// A tick as text, with the decimals that tell it from its neighbours: "0.5", "20 k".
std::string tick_text(double value, const std::vector<double>& ticks);

/// An axis: a range of numbers on a range of places.
class ChartScale {
 public:
  /// The axis spans its ticks, of which there are at least two. from, to: places of the first and the last.
  ChartScale(std::vector<double> ticks, double from, double to, bool logarithmic = false);

  const std::vector<double>& ticks() const { return ticks_; }
  double place(double value) const;

 private:
  std::vector<double> ticks_;
  double from_, to_;
  bool logarithmic_;
};

}  // namespace mfi
