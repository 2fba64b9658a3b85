#include "mfi/report/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "mfi/core/text.h"
#include "mfi/report/svg_parts.h"

namespace mfi {
namespace {

bool is_finite(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second);
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

// More marks than this along a line would touch each other.
constexpr size_t kMostMarks = 12;

void draw_series(Html& svg, const ChartSeries& series, size_t style, const ChartScale& x, const ChartScale& y) {
  std::string path;
  bool within = false;  // a line
  for (const auto& point : series.points) {
    if (is_finite(point))
      path += (within ? "L" : "M") + svg_number(x.place(point.first)) + " " + svg_number(y.place(point.second));
    within = is_finite(point);
  }
  svg.empty("path", {{"d", path}, {"class", format("line s%zu", style % kChartStyles)}});
  const size_t every = (series.points.size() + kMostMarks - 1) / kMostMarks;
  for (size_t i = 0; i < series.points.size(); ++i) {
    const auto& point = series.points[i];
    // The last one always, and of all others enough to tell the lines apart.
    if (is_finite(point) && (i % every == 0 || i + 1 == series.points.size()))
      svg_mark(svg, x.place(point.first), y.place(point.second), style,
               format("%s: %.4g at %.4g", series.name.c_str(), point.second, point.first));
  }
}

std::string empty_chart(const std::string& title) {
  Html svg;
  open_svg(svg, title + ": there is nothing to draw", kChartWidth, 60);
  svg_text(svg, kChartWidth / 2, 34, "nothing to draw", "middle", "axis");
  return svg.close().str();
}

}  // namespace

std::string line_chart(const LineChart& chart) {
  std::vector<ChartSeries> drawn;
  std::vector<std::string> names;
  Range x_range, y_range;
  for (const auto& series : chart.series) {
    if (std::none_of(series.points.begin(), series.points.end(), is_finite)) continue;
    drawn.push_back(series);
    names.push_back(series.name);
    for (const auto& point : series.points)
      if (is_finite(point)) x_range.add(point.first), y_range.add(point.second);
  }
  if (drawn.empty()) return empty_chart(chart.title);

  Html svg;
  constexpr double kPlotHeight = 130;
  // A single series is named by its axis.
  Html legend;
  const double legend_end = drawn.size() > 1 ? draw_legend(legend, names, /*with_lines=*/true) : 0;
  PlotArea plot{46, legend_end + 22, kChartWidth - 12, legend_end + 22 + kPlotHeight};
  open_svg(svg, chart.title, kChartWidth, plot.bottom + 36);
  svg.markup(legend.str());
  auto x_ticks = chart.x_ticks;
  if (x_ticks.empty()) {
    const auto ticks = nice_ticks(x_range.low, x_range.high, 7);
    // There is no half epoch, but in a file that somebody else wrote.
    std::copy_if(ticks.begin(), ticks.end(), std::back_inserter(x_ticks),
                 [](double tick) { return tick == std::floor(tick); });
    if (x_ticks.size() < 2 || x_ticks.front() > x_range.low || x_ticks.back() < x_range.high) x_ticks = ticks;
    if (x_range.low == x_range.high) x_ticks = {x_range.low - 1, x_range.low, x_range.low + 1};
  }
  const bool logarithmic = !chart.x_ticks.empty() && chart.x_ticks.front() > 0;
  const ChartScale x(x_ticks, plot.left + 6, plot.right - 6, logarithmic);
  const ChartScale y(nice_ticks(y_range.low, y_range.high, 6), plot.bottom, plot.top);
  draw_y_axis(svg, plot, y, chart.y_label);
  draw_x_axis(svg, plot, x, chart.x_label);
  for (size_t i = 0; i < drawn.size(); ++i) draw_series(svg, drawn[i], i, x, y);
  return svg.close().str();
}

std::string bar_chart(const BarChart& chart) {
  double largest = 0, label_width = 0, text_width = 0;
  for (const auto& group : chart.groups) {
    label_width = std::max(label_width, svg_text_width(group.label));
    for (const double value : group.values)
      if (std::isfinite(value)) largest = std::max(largest, value);
    for (const auto& text : group.texts) text_width = std::max(text_width, svg_text_width(text));
  }
  if (chart.groups.empty() || largest <= 0) return empty_chart(chart.title);

  constexpr double kBar = 13, kBetween = 9;
  const double left = 4 + label_width + 8, right = kChartWidth - text_width - 8;
  Html legend;
  double x = left;
  for (size_t i = 0; i < chart.names.size(); ++i) {
    legend.empty(
        "rect",
        {{"x", svg_number(x)}, {"y", "2"}, {"width", "11"}, {"height", "11"}, {"class", format("bar s%zu", i)}});
    svg_text(legend, x + 16, 12, chart.names[i]);
    x += 16 + svg_text_width(chart.names[i]) + 14;
  }
  const double group_height = kBar * static_cast<double>(chart.names.size()) + kBetween;
  double top = 24;
  Html svg;
  open_svg(svg, chart.title, kChartWidth, top + group_height * static_cast<double>(chart.groups.size()));
  svg.markup(legend.str());
  for (const auto& group : chart.groups) {
    svg_text(svg, left - 8, top + (group_height - kBetween) / 2 + 4, group.label, "end");
    for (size_t i = 0; i < group.values.size(); ++i) {
      const double y = top + kBar * static_cast<double>(i);
      const double width = std::isfinite(group.values[i]) ? (right - left) * group.values[i] / largest : 0;
      svg.empty("rect", {{"x", svg_number(left)},
                         {"y", svg_number(y)},
                         {"width", svg_number(std::max(width, 0.5))},
                         {"height", svg_number(kBar - 2)},
                         {"class", format("bar s%zu", i)}});
      svg_text(svg, left + width + 5, y + kBar - 3, group.texts[i]);
    }
    top += group_height;
  }
  svg_line(svg, left, 20, left, top - kBetween + 2, "base");
  return svg.close().str();
}

int heat_level(int64_t count, int64_t of) {
  if (count <= 0 || of <= 0) return 0;
  static constexpr double kUpTo[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5};
  const double share = static_cast<double>(count) / static_cast<double>(of);
  int level = 1;
  for (const double up_to : kUpTo) level += share > up_to;
  return level;
}

std::string heat_map(const HeatMap& chart) {
  const auto classes = chart.counts.size();
  if (classes == 0) return empty_chart(chart.title);
  const PlotArea plot{34, 34, kChartWidth - 6, kChartWidth - 6};
  const double side = (plot.right - plot.left) / static_cast<double>(classes);
  Html svg;
  open_svg(svg, chart.title, kChartWidth, kChartWidth);
  svg.empty("rect", {{"x", svg_number(plot.left)},
                     {"y", svg_number(plot.top)},
                     {"width", svg_number(plot.right - plot.left)},
                     {"height", svg_number(plot.bottom - plot.top)},
                     {"class", "frame"}});
  // One path a shade: thousands of elements would make the page slow. In units of a square.
  std::vector<std::string> wrong(8), right(8);
  for (size_t row = 0; row < classes; ++row) {
    int64_t all = 0;
    for (const auto count : chart.counts[row]) all += count;
    for (size_t column = 0; column < classes; ++column)
      if (const auto level = static_cast<size_t>(heat_level(chart.counts[row][column], all)); level > 0)
        (row == column ? right : wrong)[level] += format("M%zu %zuh1v1h-1z", column, row);
  }
  svg.open("g", {{"transform", format("translate(%.4g %.4g) scale(%.6g)", plot.left, plot.top, side)}});
  for (size_t level = 1; level < 8; ++level) {
    if (!wrong[level].empty()) svg.empty("path", {{"d", wrong[level]}, {"class", format("wrong%zu", level)}});
    if (!right[level].empty()) svg.empty("path", {{"d", right[level]}, {"class", format("right%zu", level)}});
  }
  svg.close();
  const auto ticks = nice_ticks(0, static_cast<double>(classes) - 1, 11);
  for (const double tick : ticks) {
    if (tick != std::floor(tick) || tick >= static_cast<double>(classes)) continue;
    const double middle = (tick + 0.5) * side;
    svg_text(svg, plot.left - 4, plot.top + middle + 4, format("%.0f", tick), "end");
    svg_text(svg, plot.left + middle, plot.top - 5, format("%.0f", tick), "middle");
  }
  svg_text(svg, (plot.left + plot.right) / 2, 12, chart.column_label, "middle", "axis");
  svg.element("text", chart.row_label,
              {{"x", "0"},
               {"y", "0"},
               {"text-anchor", "middle"},
               {"class", "axis"},
               {"transform", format("translate(10 %.4g) rotate(-90)", (plot.top + plot.bottom) / 2)}});
  return svg.close().str();
}

}  // namespace mfi
