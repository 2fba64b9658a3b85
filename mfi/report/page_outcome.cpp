// What came out of a run: its first section, and the chart of accuracy against size.
#include <cmath>
#include <sstream>

#include "mfi/core/text.h"
#include "mfi/report/page_parts.h"
#include "mfi/report/svg_scatter.h"
#include "mfi/report/verdict.h"

namespace mfi {
namespace {

std::string time_text(double seconds) { return seconds > 0 ? duration_text(seconds) : "–"; }

HtmlCell against_cell(const StepResult& step, const StepResult* teacher) {
  if (!teacher || &step == teacher) return number_cell("–");
  auto cell = number_cell(signed_points(step.test_top1_percent, teacher->test_top1_percent));
  const double points = step.test_top1_percent - teacher->test_top1_percent;
  if (std::abs(points) >= 0.005) cell.style_class = points > 0 ? "good" : "bad";
  return cell;
}

}  // namespace

std::string outcome_section(const RunReport& report) {
  const auto& results = report.results;
  Html html;
  html.element("p", summary(results), {{"class", "lead"}});
  if (!report.steps_to_do.empty()) html.element("p", "Steps still to be run: " + join(report.steps_to_do, ", ") + ".");

  const auto* teacher = results.find("teacher");
  HtmlTable table("Networks of the run; shares and differences are against the teacher",
                  {{"Step"},
                   {"Network"},
                   number_cell("Parameters"),
                   number_cell("share"),
                   number_cell("MACs"),
                   number_cell("share"),
                   number_cell("Test top‑1"),
                   number_cell("difference, points"),
                   number_cell("Training")});
  for (const bool controls : {false, true}) {
    bool first = true;
    for (const auto& step : results.steps) {
      if (!step.shown || step.control != controls) continue;
      if (controls && first) table.add_group("Controls: no part of the method, there to be compared with");
      first = false;
      const auto of = [&](int64_t part, int64_t StepResult::*whole) {
        return number_cell(share_of(static_cast<double>(part), teacher ? static_cast<double>(teacher->*whole) : 0));
      };
      table.add_row({{step.step},
                     {step.network},
                     number_cell(count_text(static_cast<double>(step.parameters))),
                     of(step.parameters, &StepResult::parameters),
                     number_cell(count_text(static_cast<double>(step.macs))),
                     of(step.macs, &StepResult::macs),
                     number_cell(format("%.2f %%", step.test_top1_percent)),
                     against_cell(step, teacher),
                     number_cell(time_text(step.seconds))});
    }
  }
  html.markup(table.markup());
  html.element(
      "p",
      "MACs: multiply-accumulates for one image; one is two floating-point operations. Test top-1: each network "
      "looked at the " +
          grouped(results.test_images) + " test images once, when its training was over.",
      {{"class", "soft"}});
  std::istringstream sentences(verdict(results));
  std::string sentence;
  if (sentences.peek() != std::istringstream::traits_type::eof()) {
    html.open("ul");
    while (std::getline(sentences, sentence)) html.element("li", sentence);
    html.close();
  }
  return html.str();
}

std::string size_section(const RunReport& report) {
  const auto& results = report.results;
  ScatterChart chart{"Test accuracy against the number of parameters", "parameters", "test top-1, %", {}, {}};
  HtmlTable numbers("The points of the chart",
                    {{"Network"}, number_cell("parameters"), number_cell("test top-1"), number_cell("95 % interval")});
  for (const auto& step : results.steps) {
    const bool main = step.step == "teacher" || step.step == "hybrid";
    if (!main && !(step.control && step.shown)) continue;
    const double chance = chance_of_one(step.test_top1_percent, results.test_images);
    const size_t style = step.step == "teacher" ? 0 : step.step == "hybrid" ? 1 : 2;
    chart.points.push_back({step.step, static_cast<double>(step.parameters), step.test_top1_percent, chance, style});
    numbers.add_row({{step.step},
                     number_cell(grouped(step.parameters)),
                     number_cell(format("%.2f %%", step.test_top1_percent)),
                     number_cell(format("± %.2f", chance))});
  }
  if (chart.points.empty()) return missing_markup("The chart", "neither teacher nor hybrid nor a control is done yet");
  chart.styles = {"teacher", "hybrid", "control"};
  return figure_markup(
      scatter_chart(chart),
      "Up is better, left is smaller. The vertical lines reach as far as chance does with so many test "
      "images (95 %).",
      numbers.markup());
}

}  // namespace mfi
