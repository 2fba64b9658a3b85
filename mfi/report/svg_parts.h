// What all charts are made of.
#pragma once

#include <string>
#include <vector>

#include "mfi/report/chart_scale.h"
#include "mfi/report/html.h"

namespace mfi {

/// Units of a chart's own; about a pixel each on a telephone.
constexpr double kChartWidth = 360, kChartFont = 11;
constexpr size_t kChartStyles = 7;  // s0 to s6 of the style sheet

/// A coordinate: tenths are enough.
std::string svg_number(double value);

/// How wide a text will be, at most: fonts differ.
double svg_text_width(const std::string& text, double font = kChartFont);

/// Opens <svg> with its role and title; to be closed.
void open_svg(Html& svg, const std::string& title, double width, double height);

/// anchor: start, middle or end.
void svg_text(Html& svg, double x, double y, const std::string& text, const std::string& anchor = "start",
              const std::string& style_class = "");

void svg_line(Html& svg, double x1, double y1, double x2, double y2, const std::string& style_class);

/// The mark of series `style`: disc, square, triangle, diamond, cross, plus, ring; then they come again.
void svg_mark(Html& svg, double x, double y, size_t style, const std::string& tooltip = "");

/// Lines across the plot, and a number at each.
struct PlotArea {
  double left, top, right, bottom;
};
void draw_y_axis(Html& svg, const PlotArea& plot, const ChartScale& y, const std::string& label);
void draw_x_axis(Html& svg, const PlotArea& plot, const ChartScale& x, const std::string& label);

/// Marks and names in rows from the top on, with_lines: on pieces of their lines. Returns where the next thing may
/// begin.
double draw_legend(Html& svg, const std::vector<std::string>& names, bool with_lines);

}  // namespace mfi
