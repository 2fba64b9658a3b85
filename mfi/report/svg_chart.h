// Charts as inline SVG. Colours are the page's (report_style.h), so that they follow its light and dark theme; what
// belongs together has a mark and a dash of its own too, not colour alone.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mfi {

/// Points of one kind, in the order of x. One that is not finite is left out and interrupts the line.
struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct LineChart {
  std::string title;  // also what a screen reader says
  std::string x_label, y_label;
  std::vector<ChartSeries> series;   // those without any finite point are left out
  std::vector<double> x_ticks = {};  // where not all numbers can be on the axis; empty: chosen
};

/// Up to seven series; with none to draw, a chart that says so.
std::string line_chart(const LineChart& chart);

/// Horizontal bars, one for each name in each group.
struct BarChart {
  std::string title;
  std::vector<std::string> names;  // "teacher", "hybrid"
  struct Group {
    std::string label;
    std::vector<double> values;      // one a name; not below 0
    std::vector<std::string> texts;  // beside the bars
  };
  std::vector<Group> groups;
};

std::string bar_chart(const BarChart& chart);

/// Counts as squares: rows from top to bottom, columns from left to right, both numbered from 0.
struct HeatMap {
  std::string title;
  std::string row_label, column_label;
  std::vector<std::vector<int64_t>> counts;  // square
};

/// A square's shade is its share of its row, from 1 % (lightest) in steps of about two; those on the diagonal have a
/// colour of their own. See heat_level.
std::string heat_map(const HeatMap& chart);

/// 0 for none, 1 to 7 for shares of up to 1, 2, 5, 10, 20, 50 and 100 %.
int heat_level(int64_t count, int64_t of);

}  // namespace mfi
