#include "mfi/report/run_comparison.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/text.h"
#include "mfi/report/html.h"
#include "mfi/report/page_parts.h"
#include "mfi/report/report_page.h"
#include "mfi/report/svg_scatter.h"
#include "mfi/report/text_table.h"

namespace mfi {
namespace {

// "A", ..., "Z", "27", ...: a run in a chart, where its name is too long.
std::string letter(size_t run) {
  return run < 26 ? std::string(1, static_cast<char>('A' + run)) : std::to_string(run + 1);
}

const std::string* value_of(const ComparedRun& run, const std::string& key) {
  for (const auto& line : run.recipe)
    if (line.key == key) return &line.value;
  return nullptr;
}

double ratio(int64_t part, int64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

// The steps of a table, those of the method before the controls.
std::vector<const StepResult*> shown_steps(const RunResults& results) {
  std::vector<const StepResult*> out;
  for (const bool controls : {false, true})
    for (const auto& step : results.steps)
      if (step.shown && step.control == controls) out.push_back(&step);
  return out;
}

std::string ascii_points(const StepResult& step, const StepResult& teacher) {
  auto out = signed_points(step.test_top1_percent, teacher.test_top1_percent);
  const std::string minus = "−";
  if (out.starts_with(minus)) out.replace(0, minus.size(), "-");
  return out;
}

std::string networks_table(const std::vector<ComparedRun>& runs) {
  Html html;
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto& results = runs[i].results;
    const auto* teacher = results.find("teacher");
    HtmlTable table(
        letter(i) + ": " + runs[i].name + ", " + results.dataset + ", " + grouped(results.test_images) + " test images",
        {{"Step"},
         {"Network"},
         number_cell("Parameters"),
         number_cell("share"),
         number_cell("MACs"),
         number_cell("share"),
         number_cell("Test top‑1"),
         number_cell("difference, points")});
    for (const auto* step : shown_steps(results)) {
      const auto share = [&](int64_t StepResult::*what) {
        return number_cell(teacher && teacher->*what > 0 ? format("%.1f %%", 100 * ratio(step->*what, teacher->*what))
                                                         : "–");
      };
      table.add_row(
          {{step->step + (step->control ? " (control)" : "")},
           {step->network},
           number_cell(count_text(static_cast<double>(step->parameters))),
           share(&StepResult::parameters),
           number_cell(count_text(static_cast<double>(step->macs))),
           share(&StepResult::macs),
           number_cell(format("%.2f %%", step->test_top1_percent)),
           number_cell(teacher && teacher != step ? signed_points(step->test_top1_percent, teacher->test_top1_percent)
                                                  : "–")});
    }
    html.markup(table.markup());
  }
  return html.str();
}

std::string size_chart(const std::vector<ComparedRun>& runs) {
  ScatterChart chart{"Test accuracy against the number of parameters, all runs", "parameters", "test top-1, %", {}, {}};
  HtmlTable numbers("The points of the chart",
                    {{"Point"}, {"run"}, number_cell("parameters"), number_cell("test top-1")});
  for (size_t i = 0; i < runs.size(); ++i) {
    chart.styles.push_back(letter(i) + ": " + shortened(runs[i].name));
    for (const auto* step : shown_steps(runs[i].results)) {
      if (step->step != "teacher" && step->step != "hybrid" && !step->control) continue;
      const auto label = step->step + " " + letter(i);
      chart.points.push_back({label, static_cast<double>(step->parameters), step->test_top1_percent, 0, i});
      numbers.add_row({{label},
                       {runs[i].name},
                       number_cell(grouped(step->parameters)),
                       number_cell(format("%.2f %%", step->test_top1_percent))});
    }
  }
  return figure_markup(scatter_chart(chart),
                       "Teachers, hybrids and controls of all runs. Up is better, left is smaller.", numbers.markup());
}

// Then nothing is said of what recipes have in common.
bool is_one_missing(const std::vector<ComparedRun>& runs) {
  return std::ranges::any_of(runs, [](const auto& run) { return !run.recipe_missing.empty(); });
}

std::string recipes_markup(const std::vector<ComparedRun>& runs) {
  Html html;
  for (const auto& run : runs)
    if (!run.recipe_missing.empty()) html.markup(missing_markup("The recipe of " + run.name, run.recipe_missing));
  const auto differences = recipe_differences(runs);
  if (differences.empty() && is_one_missing(runs)) return html.str();
  if (differences.empty()) return html.element("p", "The recipes differ in no key but their names.").str();
  std::vector<HtmlCell> columns{{"Key"}};
  for (size_t i = 0; i < runs.size(); ++i) columns.push_back({letter(i) + ": " + runs[i].name});
  HtmlTable table("Keys in which the recipes differ", columns);
  for (const auto& difference : differences) {
    std::vector<HtmlCell> row{{difference.key}};
    for (const auto& value : difference.values) row.push_back({value.empty() ? "–" : value});
    table.add_row(row);
  }
  return html.markup(table.markup()).str();
}

}  // namespace

std::vector<RecipeDifference> recipe_differences(const std::vector<ComparedRun>& runs) {
  std::vector<std::string> keys;
  for (const auto& run : runs)
    for (const auto& line : run.recipe)
      if (line.key != "name" && std::find(keys.begin(), keys.end(), line.key) == keys.end()) keys.push_back(line.key);
  std::vector<RecipeDifference> out;
  for (const auto& key : keys) {
    RecipeDifference difference{key, {}};
    const std::string* first = nullptr;  // of those that have a recipe
    bool differs = false;
    for (const auto& run : runs) {
      const auto* value = value_of(run, key);
      difference.values.push_back(value ? *value : "");
      if (!value) continue;
      if (!first) first = value;
      differs |= *value != *first;
    }
    if (differs) out.push_back(difference);
  }
  return out;
}

std::string comparison_text(const std::vector<ComparedRun>& runs) {
  using Align = TextTable::Align;
  TextTable table({{"run"},
                   {"step"},
                   {"network"},
                   {"parameters", Align::right},
                   {"share", Align::right},
                   {"MACs", Align::right},
                   {"share", Align::right},
                   {"test top-1", Align::right},
                   {"to teacher", Align::right}});
  for (size_t i = 0; i < runs.size(); ++i) {
    if (i > 0) table.add_rule();
    const auto* teacher = runs[i].results.find("teacher");
    const auto steps = shown_steps(runs[i].results);
    if (steps.empty()) table.add_row({runs[i].name, "(no step is done)"});
    for (const auto* step : steps) {
      const auto share = [&](int64_t StepResult::*what) {
        return teacher && teacher->*what > 0 ? format("%.1f %%", 100 * ratio(step->*what, teacher->*what))
                                             : std::string("-");
      };
      table.add_row({runs[i].name, step->step, step->network, count_text(static_cast<double>(step->parameters)),
                     share(&StepResult::parameters), count_text(static_cast<double>(step->macs)),
                     share(&StepResult::macs), format("%.2f %%", step->test_top1_percent),
                     teacher && teacher != step ? ascii_points(*step, *teacher) : "-"});
    }
  }
  auto out = table.text() + "Shares and points are against the teacher of the same run.\n";
  for (const auto& run : runs)
    if (!run.recipe_missing.empty()) out += "The recipe of " + run.name + " is missing: " + run.recipe_missing + "\n";
  const auto differences = recipe_differences(runs);
  if (differences.empty() && is_one_missing(runs)) return out;
  if (differences.empty()) return out + "\nThe recipes differ in no key but their names.\n";
  std::vector<TextTable::Column> columns{{"key"}};
  for (const auto& run : runs) columns.push_back({run.name, Align::left});
  TextTable keys(columns);
  for (const auto& difference : differences) {
    std::vector<std::string> row{difference.key};
    for (const auto& value : difference.values) row.push_back(value.empty() ? "-" : value);
    keys.add_row(row);
  }
  return out + "\n" + keys.text();
}

std::string comparison_page(const std::vector<ComparedRun>& runs) {
  std::vector<std::string> names;
  for (const auto& run : runs) names.push_back(run.name);
  const auto header =
      Html()
          .element("p", join(names, ", ") + ". Shares and differences are against the teacher of the same run.")
          .str();
  return whole_page("mfi: " + std::to_string(runs.size()) + " runs beside each other", header,
                    page_section("networks", "Networks", networks_table(runs)) +
                        page_section("size", "Accuracy against size", size_chart(runs)) +
                        page_section("recipes", "Recipes", recipes_markup(runs)));
}

}  // namespace mfi
