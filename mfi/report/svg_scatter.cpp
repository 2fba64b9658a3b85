#include "mfi/report/svg_scatter.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "mfi/core/text.h"
#include "mfi/report/svg_parts.h"

namespace mfi {
namespace {

constexpr double kMark = 5;      // half a mark's width, with some air
constexpr double kFarApart = 8;  // times as large: a linear axis would press the small ones together
constexpr double kLabelHeight = 13;
constexpr double kBoldFont = 1.12 * kChartFont;  // as wide as bold letters are

}  // namespace

std::vector<ChartBox> place_labels(const std::vector<std::pair<double, double>>& points,
                                   const std::vector<double>& widths, double height, const ChartBox& area,
                                   const std::vector<ChartBox>& obstacles) {
  auto taken = obstacles;
  std::vector<ChartBox> out;
  for (const auto& [x, y] : points) taken.push_back({x - kMark, y - kMark, x + kMark, y + kMark});
  const auto fits = [&](const ChartBox& box) {
    return box.left >= area.left && box.top >= area.top && box.right <= area.right && box.bottom <= area.bottom &&
           std::none_of(taken.begin(), taken.end(), [&](const ChartBox& other) { return box.overlaps(other); });
  };
  for (size_t i = 0; i < points.size(); ++i) {
    const auto [x, y] = points[i];
    const double width = widths[i];
    ChartBox found;
    // On rings around the point that grow; on each first right, left, above and below, where eyes look.
    static constexpr int kTurns[] = {0, 8, 12, 4, 14, 2, 10, 6, 1, 15, 7, 9, 3, 13, 5, 11};
    for (double ring = 0; found.right == 0 && ring < area.right - area.left; ring += 6)
      for (const int turn : kTurns) {
        const double angle = turn * std::numbers::pi / 8;
        const double dx = std::cos(angle), dy = std::sin(angle);
        const double middle_x = x + dx * (kMark + 2 + ring + width / 2);
        const double middle_y = y + dy * (kMark + 1 + ring + height / 2);
        const ChartBox box{middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2};
        if (!fits(box)) continue;
        found = box;
        break;
      }
    if (found.right > 0) taken.push_back(found);
    out.push_back(found);
  }
  return out;
}

std::string scatter_chart(const ScatterChart& chart) {
  std::vector<ScatterPoint> points;
  for (const auto& point : chart.points)
    if (std::isfinite(point.x) && std::isfinite(point.y)) points.push_back(point);
  Html svg;
  if (points.empty()) {
    open_svg(svg, chart.title + ": there is nothing to draw", kChartWidth, 60);
    svg_text(svg, kChartWidth / 2, 34, "nothing to draw", "middle", "axis");
    return svg.close().str();
  }
  double low_x = points[0].x, high_x = low_x, low_y = points[0].y, high_y = low_y;
  for (const auto& point : points) {
    low_x = std::min(low_x, point.x), high_x = std::max(high_x, point.x);
    low_y = std::min(low_y, point.y - point.y_room), high_y = std::max(high_y, point.y + point.y_room);
  }
  Html legend;
  const double legend_end = chart.styles.empty() ? 0 : draw_legend(legend, chart.styles, /*with_lines=*/false);
  // More points need more room for their labels.
  const double height = 190 + 12 * static_cast<double>(std::max<size_t>(points.size(), 6) - 6);
  const PlotArea plot{46, legend_end + 22, kChartWidth - 12, legend_end + 22 + height};
  open_svg(svg, chart.title, kChartWidth, plot.bottom + 36);
  svg.markup(legend.str());
  const bool logarithmic = low_x > 0 && high_x > kFarApart * low_x;
  const ChartScale x(logarithmic ? nice_log_ticks(low_x, high_x, 7) : nice_ticks(low_x, high_x, 6), plot.left + 8,
                     plot.right - 8, logarithmic);
  const ChartScale y(nice_ticks(low_y, high_y, 7), plot.bottom - 6, plot.top + 2);
  draw_y_axis(svg, plot, y, chart.y_label);
  draw_x_axis(svg, plot, x, chart.x_label);

  std::vector<std::pair<double, double>> places;
  std::vector<double> widths;
  std::vector<ChartBox> lines;
  for (const auto& point : points) {
    places.emplace_back(x.place(point.x), y.place(point.y));
    widths.push_back(svg_text_width(point.label, kBoldFont));
    if (point.y_room > 0)
      lines.push_back({places.back().first - 1, y.place(point.y + point.y_room), places.back().first + 1,
                       y.place(point.y - point.y_room)});
  }
  const auto boxes =
      place_labels(places, widths, kLabelHeight, {plot.left, plot.top - 4, kChartWidth - 2, plot.bottom - 1}, lines);
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& [px, py] = places[i];
    if (points[i].y_room > 0) {
      const double top = y.place(points[i].y + points[i].y_room), bottom = y.place(points[i].y - points[i].y_room);
      svg_line(svg, px, top, px, bottom, "chance");
    }
    const auto& box = boxes[i];
    if (box.right <= 0) continue;
    const double near_x = std::clamp(px, box.left, box.right), near_y = std::clamp(py, box.top + 2, box.bottom - 2);
    if (std::hypot(near_x - px, near_y - py) > 2 * kMark + 3) svg_line(svg, px, py, near_x, near_y, "leader");
  }
  for (size_t i = 0; i < points.size(); ++i) {
    const auto& [px, py] = places[i];
    svg_mark(svg, px, py, points[i].style,
             format("%s: %.2f at %s", points[i].label.c_str(), points[i].y,
                    (points[i].x_text.empty() ? count_text(points[i].x) : points[i].x_text).c_str()));
    if (boxes[i].right > 0) svg_text(svg, boxes[i].left, boxes[i].bottom - 3, points[i].label, "start", "label");
  }
  return svg.close().str();
}

}  // namespace mfi
