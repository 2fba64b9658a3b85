// How a run's steps learned: learning curves, and how near the mapped stages came.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "mfi/core/text.h"
#include "mfi/report/page_parts.h"
#include "mfi/report/svg_chart.h"

namespace mfi {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double value_of(const Metrics& row, const std::string& name) {
  for (const auto& [key, value] : row)
    if (key == name) return value;
  return kNone;
}

std::string number_text(double value, const char* pattern) {
  return std::isfinite(value) ? format(pattern, value) : "–";
}

// A column of metrics.csv as people say it; "" for one that is in no chart.
std::string loss_name(const std::string& column) {
  if (column == "loss") return "training";
  if (column == "validation_loss") return "validation";
  return column.ends_with("_loss") && !column.starts_with("validation_") ? column.substr(0, column.size() - 5) : "";
}

std::string accuracy_name(const std::string& column) {
  if (column == "train_percent") return "training";
  if (column == "validation_top1_percent") return "validation";
  if (column == "validation_teacher_percent") return "teacher, validation";
  static const std::string kBefore = "validation_", kBehind = "_swap_in_percent";
  if (column.starts_with(kBefore) && column.ends_with(kBehind))
    return column.substr(kBefore.size(), column.size() - kBefore.size() - kBehind.size()) + " swapped in, validation";
  return "";
}

struct Curves {
  LineChart chart;
  std::vector<std::string> columns;  // of metrics.csv, one a series
};

Curves curves_of(const StepCurve& step, const std::string& title, const std::string& y_label,
                 std::string (*name_of)(const std::string&)) {
  Curves out{{step.step + ": " + title, "epoch", y_label, {}, {}}, {}};
  for (const auto& row : step.rows)
    for (const auto& [column, value] : row) {
      const auto name = name_of(column);
      if (name.empty() || std::find(out.columns.begin(), out.columns.end(), column) != out.columns.end()) continue;
      out.columns.push_back(column);
      out.chart.series.push_back({name, {}});
    }
  for (size_t i = 0; i < step.rows.size(); ++i) {
    double epoch = value_of(step.rows[i], "epoch");
    if (!std::isfinite(epoch)) epoch = static_cast<double>(i + 1);
    for (size_t s = 0; s < out.columns.size(); ++s)
      out.chart.series[s].points.emplace_back(epoch, value_of(step.rows[i], out.columns[s]));
  }
  return out;
}

std::string curve_numbers(const std::string& caption, const std::vector<const Curves*>& all) {
  std::vector<HtmlCell> columns{{"Epoch"}};
  size_t rows = 0;
  for (const auto* curves : all)
    for (const auto& series : curves->chart.series) {
      columns.push_back(number_cell(all.size() > 1 ? curves->chart.y_label + ", " + series.name : series.name));
      rows = std::max(rows, series.points.size());
    }
  HtmlTable table(caption, columns);
  for (size_t i = 0; i < rows; ++i) {
    std::vector<HtmlCell> cells{{""}};
    for (const auto* curves : all)
      for (const auto& series : curves->chart.series) {
        cells[0].text = format("%.0f", series.points[i].first);
        cells.push_back(number_cell(number_text(series.points[i].second, "%.5g")));
      }
    table.add_row(cells);
  }
  return table.markup();
}

struct StageMapping {
  std::map<int64_t, double> error, swap_in;  // by number of steps
  double own_error = kNone;                  // of residual blocks, which take none
  double own_swap_in = kNone;
};

struct StepMapping {
  std::map<std::string, StageMapping> stages;
  double teacher = kNone;
};

// "2steps" and what follows it, as "_percent".
bool read_steps(const std::string& text, const std::string& behind, int64_t& steps) {
  if (!text.ends_with(behind)) return false;
  const auto number = text.substr(0, text.size() - behind.size());
  const auto digits = number.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string::npos || digits > 6) return false;
  steps = std::stoll(number);
  return number.substr(digits) == (steps == 1 ? "step" : "steps");
}

StepMapping mapping_of(const Metrics& details) {
  StepMapping out;
  for (const auto& [name, value] : details) {
    if (name == "teacher_percent") out.teacher = value;
    const auto split = name.find('_');
    if (split == std::string::npos || !name.starts_with("stage")) continue;
    const auto what = name.substr(split + 1);
    auto& stage = out.stages[name.substr(0, split)];
    int64_t steps = 0;
    if (what == "swap_in_percent")
      stage.own_swap_in = value;
    else if (what == "error")
      stage.own_error = value;
    else if (what.starts_with("error_") && read_steps(what.substr(6), "", steps))
      stage.error[steps] = value;
    else if (what.starts_with("swap_in_") && read_steps(what.substr(8), "_percent", steps))
      stage.swap_in[steps] = value;
  }
  return out;
}

constexpr int64_t kSteps[] = {1, 2, 4};

std::string steps_text(int64_t steps) { return steps == 1 ? "1 step" : std::to_string(steps) + " steps"; }

std::string mapping_table(const StepMapping& mapping) {
  std::vector<HtmlCell> columns{{"Stage"}};
  const bool blocks = std::any_of(mapping.stages.begin(), mapping.stages.end(),
                                  [](const auto& stage) { return !std::isnan(stage.second.own_error); });
  if (blocks) columns.push_back(number_cell("error, residual blocks"));
  for (const auto steps : kSteps) columns.push_back(number_cell("error, " + steps_text(steps)));
  columns.push_back(number_cell("swapped in, as it is used"));
  for (const auto steps : kSteps) columns.push_back(number_cell("swapped in, " + steps_text(steps)));
  HtmlTable table("Relative error of each stage, and top-1 of the teacher with only that stage replaced", columns);
  const auto cell = [](const std::map<int64_t, double>& values, int64_t steps, const char* pattern) {
    const auto found = values.find(steps);
    return number_cell(number_text(found == values.end() ? kNone : found->second, pattern));
  };
  for (const auto& [name, stage] : mapping.stages) {
    std::vector<HtmlCell> row{{name}};
    if (blocks) row.push_back(number_cell(number_text(stage.own_error, "%.3f")));
    for (const auto steps : kSteps) row.push_back(cell(stage.error, steps, "%.3f"));
    row.push_back(number_cell(number_text(stage.own_swap_in, "%.2f %%")));
    for (const auto steps : kSteps) row.push_back(cell(stage.swap_in, steps, "%.2f %%"));
    table.add_row(row);
  }
  return table.markup();
}

std::string mapping_charts(const std::string& step, const StepMapping& mapping) {
  LineChart error{step + ": relative error against steps", "steps", "relative error", {}, {1, 2, 4}};
  LineChart swap_in{
      step + ": accuracy with one stage swapped in, against steps", "steps", "test top-1, %", {}, {1, 2, 4}};
  const auto series = [](const std::string& name, const std::map<int64_t, double>& values) {
    ChartSeries out{name, {}};
    for (const auto steps : kSteps) {
      const auto found = values.find(steps);
      out.points.emplace_back(steps, found == values.end() ? kNone : found->second);
    }
    return out;
  };
  const auto numbers = [](const LineChart& chart) {
    HtmlTable table(chart.title, {{"Series"}, number_cell("1 step"), number_cell("2 steps"), number_cell("4 steps")});
    for (const auto& line : chart.series) {
      std::vector<HtmlCell> row{{line.name}};
      for (const auto& [steps, value] : line.points) row.push_back(number_cell(number_text(value, "%.4g")));
      table.add_row(row);
    }
    return table.markup();
  };
  for (const auto& [name, stage] : mapping.stages) {
    error.series.push_back(series(name, stage.error));
    swap_in.series.push_back(series(name, stage.swap_in));
  }
  if (std::isfinite(mapping.teacher))
    swap_in.series.push_back({"teacher", {{1, mapping.teacher}, {2, mapping.teacher}, {4, mapping.teacher}}});
  Html html;
  html.open("div", {{"class", "pair"}});
  html.markup(figure_markup(line_chart(error), "Relative error", numbers(error)));
  // Runs of older programs know the accuracy in a stage's own number of steps only, which is in the table.
  const bool any = std::any_of(mapping.stages.begin(), mapping.stages.end(),
                               [](const auto& stage) { return !stage.second.swap_in.empty(); });
  if (any)
    html.markup(
        figure_markup(line_chart(swap_in), "Accuracy of the teacher with one stage replaced", numbers(swap_in)));
  else
    html.markup(missing_markup("The accuracy for 1, 2 and 4 steps", "the run was made by an older mfi"));
  return html.close().str();
}

}  // namespace

std::string curves_section(const RunReport& report) {
  if (report.curves.empty()) return missing_markup("Every curve", "no step is done yet");
  Html html;
  html.open("div", {{"class", "charts"}});
  for (const auto& step : report.curves) {
    html.open("div", {{"class", "pair"}}).open("h3").text(step.step);
    html.element("span", " " + step.purpose, {{"class", "soft"}}).close();
    const auto loss = curves_of(step, "loss of each epoch", "loss", loss_name);
    const auto accuracy = curves_of(step, "accuracy of each epoch", "accuracy, %", accuracy_name);
    if (!step.missing.empty())
      html.markup(missing_markup("The curve", step.missing));
    else if (step.rows.empty())
      html.element("p", "Nothing was trained.", {{"class", "soft"}});
    else if (step.rows.size() == 1)  // a point is no curve
      html.open("div", {{"class", "whole"}})
          .markup(curve_numbers(step.step + ": its one epoch", {&loss, &accuracy}))
          .close();
    else
      for (const auto* curves : {&loss, &accuracy})
        if (!curves->columns.empty())
          html.markup(figure_markup(line_chart(curves->chart), curves == &loss ? "Loss" : "Accuracy",
                                    curve_numbers(curves->chart.title, {curves})));
    html.close();
  }
  return html.close().str();
}

std::string mapping_section(const RunReport& report) {
  Html html;
  bool any = false;
  for (const auto& step : report.results.steps) {
    const auto mapping = mapping_of(step.details);
    if (mapping.stages.empty()) continue;
    if (!any)
      html.element(
          "p",
          "Measured on the test images, each stage by itself on the teacher's own features. Relative error: norm "
          "of the difference over norm of the teacher's output; 0 is the teacher, 1 is what an output of zero "
          "would have. A number of steps that is no multiple of a stage's modules cannot be taken (–).",
          {{"class", "soft"}});
    any = true;
    html.open("h3").text(step.step).element("span", " " + step.purpose, {{"class", "soft"}}).close();
    html.markup(mapping_table(mapping));
    if (std::isfinite(mapping.teacher))
      html.element("p", format("The teacher itself, in the precision of the mapping: %.2f %%.", mapping.teacher));
    html.markup(mapping_charts(step.step, mapping));
  }
  return any ? html.str() : missing_markup("The mapping", "no stage has been mapped yet");
}

}  // namespace mfi
