// What mfi search has found in the run's folder.
#include "mfi/core/text.h"
#include "mfi/report/page_parts.h"
#include "mfi/report/svg_scatter.h"
#include "mfi/report/verdict.h"
#include "mfi/search/judgement.h"

namespace mfi {
namespace {

std::string points_table(const SearchResults& search) {
  const auto& teacher = search.teacher;
  HtmlTable table("Networks after a short fine-tuning, judged on held-out images",
                  {{"Network"},
                   {"stages"},
                   number_cell("parameters"),
                   number_cell("share"),
                   number_cell("MACs, share"),
                   number_cell("time, share"),
                   number_cell("divergence as mapped, nats: expected"),
                   number_cell("measured"),
                   number_cell("held out"),
                   number_cell("against the teacher"),
                   {""}});
  const auto add = [&](const SearchPoint& point) {
    table.add_row(
        {{point.name},
         {join(point.stages, " | ")},
         number_cell(grouped(point.parameters)),
         number_cell(share_of(static_cast<double>(point.parameters), static_cast<double>(teacher.parameters))),
         number_cell(share_of(static_cast<double>(point.macs), static_cast<double>(teacher.macs))),
         number_cell(share_of(point.milliseconds, teacher.milliseconds)),
         number_cell(format("%.4f", point.divergence)),
         number_cell(point.measured < 0 ? "-" : format("%.4f", point.measured)),
         number_cell(format("%.2f %%", point.held_out_percent)),
         number_cell(signed_points(point.held_out_percent, teacher.held_out_percent)),
         {point.chosen ? "chosen" : (point.on_front ? "front" : "")}});
  };
  add(teacher);
  for (const auto& point : search.points) add(point);
  return table.markup();
}

std::string candidates_table(const SearchResults& search) {
  HtmlTable table("Each candidate alone in the teacher", {{"Candidate"},
                                                          number_cell("parameters"),
                                                          number_cell("MACs"),
                                                          number_cell("milliseconds"),
                                                          number_cell("divergence, nats")});
  for (size_t stage = 0; stage < search.candidates.size(); ++stage) {
    table.add_group("Stage " + std::to_string(stage + 1));
    for (const auto& candidate : search.candidates[stage])
      table.add_row({{candidate.name},
                     number_cell(grouped(candidate.parameters)),
                     number_cell(grouped(candidate.macs)),
                     number_cell(format("%.3f", candidate.milliseconds)),
                     number_cell(format("%.4f", candidate.divergence))});
  }
  return table.markup();
}

struct CostAxis {
  std::string title, label, less;
  SearchTarget::Kind kind = SearchTarget::Kind::parameters;

  std::string text(double cost) const {
    return kind == SearchTarget::Kind::latency ? format("%.3f ms", cost) : count_text(cost);
  }
};

// That of the first target, over which the front is drawn.
CostAxis cost_axis(const SearchResults& search) {
  const auto kind = first_target(search).kind;
  switch (kind) {
    case SearchTarget::Kind::macs:
      return {"the multiply-accumulates", "multiply-accumulates", "fewer", kind};
    case SearchTarget::Kind::latency:
      return {"the time for one image", "milliseconds", "faster", kind};
    case SearchTarget::Kind::parameters:
      break;
  }
  return {"the number of parameters", "parameters", "smaller", kind};
}

std::string asked_for(const SearchResults& search) {
  std::vector<std::string> asked;
  if (!search.target.empty()) asked.push_back(search.target);
  if (search.max_drop >= 0) asked.push_back(format("at most %g points lost", search.max_drop));
  return asked.empty() ? "" : " Asked for: " + join(asked, ", ") + ".";
}

}  // namespace

std::string search_section(const RunReport& report) {
  if (!report.search_missing.empty()) return missing_markup("The search", report.search_missing);
  if (!report.search) return "";
  const auto& search = *report.search;
  const auto axis = cost_axis(search);
  ScatterChart chart{"Held-out accuracy against " + axis.title, axis.label, "held out, %", {}, {}};
  const auto add = [&](const SearchPoint& point, size_t style) {
    const double cost = cost_of_kind(axis.kind, point.parameters, point.macs, point.milliseconds);
    chart.points.push_back({point.name + (point.chosen ? ", chosen" : ""), cost, point.held_out_percent,
                            chance_of_one(point.held_out_percent, search.held_out_images), style, axis.text(cost)});
  };
  add(search.teacher, 0);
  for (const auto& point : search.points) add(point, point.on_front ? 1 : 2);
  chart.styles = {"teacher", "front", "others"};
  Html html;
  html.element(
      "p",
      format("Accuracy on %s images that were held out, after %lld epoch%s of fine-tuning on %s others, the "
             "teacher's too. No test image was looked at.%s",
             grouped(search.held_out_images).c_str(), static_cast<long long>(search.tuned_epochs),
             search.tuned_epochs == 1 ? "" : "s", grouped(search.tuned_images).c_str(), asked_for(search).c_str()));
  html.markup(figure_markup(scatter_chart(chart),
                            "Up is better, left is " + axis.less +
                                ". The vertical lines reach as far as chance does with so many held-out images (95 %).",
                            points_table(search)));
  html.markup(folded_markup("All candidates, each alone in the teacher's stage", candidates_table(search)));
  return html.str();
}

}  // namespace mfi
