#include "mfi/report/page_parts.h"

#include <cmath>

#include "mfi/core/text.h"
#include "mfi/report/svg_chart.h"

namespace mfi {
namespace {

constexpr const char* kMinus = "−";

// A quantity of each part of teacher and hybrid.
struct Quantity {
  std::string title;  // "Parameters"
  std::vector<double> teacher, hybrid;
  std::string (*text)(double);
};

std::string milliseconds_text(double ms) { return format("%.3g", ms); }

double sum(const std::vector<double>& values) {
  double out = 0;
  for (const double value : values) out += value;
  return out;
}

std::string quantity_figure(const std::vector<PartPair>& parts, const Quantity& quantity) {
  BarChart chart{quantity.title + " of each part, teacher and hybrid", {"teacher", "hybrid"}, {}};
  HtmlTable numbers(quantity.title, {{"Part"}, number_cell("teacher"), number_cell("hybrid"), number_cell("ratio")});
  const auto row = [&](const std::string& name, double t, double h) {
    return std::vector<HtmlCell>{
        {name}, number_cell(quantity.text(t)), number_cell(quantity.text(h)), number_cell(share_of(h, t))};
  };
  for (size_t i = 0; i < parts.size(); ++i) {
    const double t = quantity.teacher[i], h = quantity.hybrid[i];
    chart.groups.push_back({parts[i].name, {t, h}, {quantity.text(t), quantity.text(h)}});
    numbers.add_row(row(parts[i].name, t, h));
  }
  numbers.add_total(row("all", sum(quantity.teacher), sum(quantity.hybrid)));
  return figure_markup(bar_chart(chart), quantity.title, numbers.markup());
}

}  // namespace

std::string grouped(int64_t number) {
  auto out = std::to_string(std::abs(number));
  for (int at = static_cast<int>(out.size()) - 3; at > 0; at -= 3) out.insert(static_cast<size_t>(at), ",");
  return number < 0 ? kMinus + out : out;
}

std::string share_of(double part, double whole) {
  return whole > 0 && std::isfinite(part) ? format("%.1f %%", 100 * part / whole) : "–";
}

std::string signed_points(double percent, double other_percent) {
  const auto hundredths = [](double value) { return std::round(value * 100) / 100; };
  const double points = hundredths(percent) - hundredths(other_percent);
  if (!std::isfinite(points)) return "–";
  if (std::abs(points) < 0.005) return "0.00";
  return (points > 0 ? "+" : kMinus) + format("%.2f", std::abs(points));
}

std::string missing_markup(const std::string& what, const std::string& why) {
  return Html().element("p", what + " is missing: " + why + ".", {{"class", "missing"}}).str();
}

std::string parts_section(const RunReport& report) {
  if (!report.parts_missing.empty()) return missing_markup("The comparison of the parts", report.parts_missing);
  std::vector<Quantity> quantities;
  const auto count = [](double value) { return count_text(value); };
  Quantity parameters{"Parameters", {}, {}, count}, macs{"MACs", {}, {}, count};
  for (const auto& part : report.parts) {
    parameters.teacher.push_back(static_cast<double>(part.teacher.parameters));
    parameters.hybrid.push_back(static_cast<double>(part.hybrid.parameters));
    macs.teacher.push_back(static_cast<double>(part.teacher.macs));
    macs.hybrid.push_back(static_cast<double>(part.hybrid.macs));
  }
  quantities.push_back(parameters);
  quantities.push_back(macs);
  const auto& latency = report.latency;
  const bool measured =
      latency && latency->teacher.size() == report.parts.size() && latency->hybrid.size() == report.parts.size();
  if (measured) quantities.push_back({"Milliseconds", latency->teacher, latency->hybrid, milliseconds_text});

  std::vector<HtmlCell> columns{{"Part"}, {"Teacher"}, {"Hybrid"}};
  for (const auto& quantity : quantities) {
    columns.push_back(number_cell(quantity.title + ", teacher"));
    columns.push_back(number_cell("hybrid"));
    columns.push_back(number_cell("ratio"));
  }
  HtmlTable table("Teacher, hybrid, and the hybrid's share of the teacher", columns);
  const auto add_numbers = [](std::vector<HtmlCell>& row, const Quantity& quantity, double t, double h) {
    row.push_back(number_cell(quantity.text(t)));
    row.push_back(number_cell(quantity.text(h)));
    row.push_back(number_cell(share_of(h, t)));
  };
  for (size_t i = 0; i < report.parts.size(); ++i) {
    const auto& part = report.parts[i];
    std::vector<HtmlCell> row{{part.name}, {part.teacher_is}, {part.hybrid_is}};
    for (const auto& quantity : quantities) add_numbers(row, quantity, quantity.teacher[i], quantity.hybrid[i]);
    table.add_row(row);
  }
  std::vector<HtmlCell> all{{"all"}, {}, {}};
  for (const auto& quantity : quantities) add_numbers(all, quantity, sum(quantity.teacher), sum(quantity.hybrid));
  table.add_total(all);

  Html html;
  html.markup(table.markup());
  if (measured)
    html.element(
        "p",
        "Milliseconds: " + (latency->images == 1 ? "one image" : grouped(latency->images) + " images") +
            " at once, float32, batch norms folded into the convolutions, median of many runs; measured when this "
            "page was written, on " +
            latency->machine + ".",
        {{"class", "soft"}});
  else
    html.markup(missing_markup("Latency", report.latency_missing.empty() ? "not measured" : report.latency_missing));
  html.open("div", {{"class", "charts"}});
  for (const auto& quantity : quantities) html.markup(quantity_figure(report.parts, quantity));
  return html.close().str();
}

}  // namespace mfi
