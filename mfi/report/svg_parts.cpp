#include "mfi/report/svg_parts.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/text.h"

namespace mfi {

std::string svg_number(double value) {
  auto out = format("%.1f", value);
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out == "-0" ? "0" : out;
}

double svg_text_width(const std::string& text, double font) {
  // Bytes that continue a character take no room; what is not ASCII may be as wide as it is high.
  double width = 0;
  for (const unsigned char c : text)
    if ((c & 0xC0) != 0x80) width += c < 0x80 ? 0.58 : 1;
  return width * font;
}

void open_svg(Html& svg, const std::string& title, double width, double height) {
  svg.open("svg", {{"viewBox", "0 0 " + svg_number(width) + " " + svg_number(height)},
                   {"role", "img"},
                   {"aria-label", title},
                   {"class", "chart"}});
  svg.element("title", title);
}

void svg_text(Html& svg, double x, double y, const std::string& text, const std::string& anchor,
              const std::string& style_class) {
  Html::Attributes attributes{{"x", svg_number(x)}, {"y", svg_number(y)}};
  if (anchor != "start") attributes.emplace_back("text-anchor", anchor);
  if (!style_class.empty()) attributes.emplace_back("class", style_class);
  svg.element("text", text, attributes);
}

void svg_line(Html& svg, double x1, double y1, double x2, double y2, const std::string& style_class) {
  svg.empty("line", {{"x1", svg_number(x1)},
                     {"y1", svg_number(y1)},
                     {"x2", svg_number(x2)},
                     {"y2", svg_number(y2)},
                     {"class", style_class}});
}

void svg_mark(Html& svg, double x, double y, size_t style, const std::string& tooltip) {
  const auto n = [](double value) { return svg_number(value); };
  const std::string at = "M" + n(x) + " " + n(y);
  static constexpr const char* kPaths[kChartStyles] = {
      "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z", "m-3.2 -3.2h6.4v6.4h-6.4z",           "m0 -4.2l4.2 7.2h-8.4z",
      "m0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z",           "m-3.2 -3.2l6.4 6.4m0 -6.4l-6.4 6.4", "m-4 0h8m-4 -4v8",
      "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
  };
  const size_t shape = style % kChartStyles;
  svg.open("path", {{"d", at + kPaths[shape]}, {"class", format("mark%s s%zu", shape >= 4 ? " open" : "", shape)}});
  if (!tooltip.empty()) svg.element("title", tooltip);
  svg.close();
}

void draw_y_axis(Html& svg, const PlotArea& plot, const ChartScale& y, const std::string& label) {
  for (const double tick : y.ticks()) {
    svg_line(svg, plot.left, y.place(tick), plot.right, y.place(tick), "grid");
    svg_text(svg, plot.left - 5, y.place(tick) + 4, tick_text(tick, y.ticks()), "end");
  }
  svg_text(svg, 4, plot.top - 9, label, "start", "axis");
}

void draw_x_axis(Html& svg, const PlotArea& plot, const ChartScale& x, const std::string& label) {
  svg_line(svg, plot.left, plot.bottom, plot.right, plot.bottom, "base");
  double free_from = 0;  // no number may begin before
  for (const double tick : x.ticks()) {
    const auto text = tick_text(tick, x.ticks());
    const double width = svg_text_width(text);
    const double middle = std::min(x.place(tick), kChartWidth - width / 2);
    svg_line(svg, x.place(tick), plot.bottom, x.place(tick), plot.bottom + 4, "base");
    if (middle - width / 2 < free_from) continue;
    svg_text(svg, middle, plot.bottom + 16, text, "middle");
    free_from = middle + width / 2 + 4;
  }
  svg_text(svg, (plot.left + plot.right) / 2, plot.bottom + 31, label, "middle", "axis");
}

double draw_legend(Html& svg, const std::vector<std::string>& names, bool with_lines) {
  constexpr double kRow = 16;
  const double mark = with_lines ? 30 : 18;
  double x = 4, y = 8;
  for (size_t i = 0; i < names.size(); ++i) {
    const double width = mark + svg_text_width(names[i]) + 10;
    if (x > 4 && x + width > kChartWidth) {
      x = 4;
      y += kRow;
    }
    if (with_lines) svg_line(svg, x, y, x + 22, y, format("line s%zu", i % kChartStyles));
    svg_mark(svg, x + (mark - 8) / 2, y, i);
    svg_text(svg, x + mark - 3, y + 4, names[i]);
    x += width;
  }
  return y + kRow / 2;
}

}  // namespace mfi
