#include "mfi/report/results_table.h"

#include <algorithm>

#include "mfi/core/text.h"
#include "mfi/report/text_table.h"
#include "mfi/report/verdict.h"

namespace mfi {
namespace {

std::string share_text(int64_t part, int64_t whole) {
  if (whole <= 0) return "-";
  return format("%.1f %%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

}  // namespace

std::string results_table(const RunResults& results) {
  using Align = TextTable::Align;
  TextTable table({{"step", Align::left},
                   {"network", Align::left},
                   {"parameters", Align::right},
                   {"share", Align::right},
                   {"MACs", Align::right},
                   {"share", Align::right},
                   {"test top-1", Align::right},
                   {"seconds", Align::right}});

  StepResult teacher;
  for (const auto& step : results.steps)
    if (step.step == "teacher") teacher = step;

  const auto add_rows = [&](bool controls) {
    int rows = 0;
    for (const auto& step : results.steps) {
      if (!step.shown || step.control != controls) continue;
      if (controls && rows == 0) table.add_rule();
      table.add_row({step.step, step.network, count_text(static_cast<double>(step.parameters)),
                     share_text(step.parameters, teacher.parameters), count_text(static_cast<double>(step.macs)),
                     share_text(step.macs, teacher.macs), format("%.2f %%", step.test_top1_percent),
                     format("%.1f", step.seconds)});
      ++rows;
    }
  };
  add_rows(false);
  add_rows(true);

  double seconds = 0, all_seconds = 0;
  for (const auto& step : results.steps) {
    all_seconds += step.seconds;
    if (!step.control) seconds += step.seconds;
  }
  auto out = table.text();
  out +=
      format("%s: %s, %lld training and %lld test images; %s; %s; %s\n", results.run.c_str(), results.dataset.c_str(),
             static_cast<long long>(results.training_images), static_cast<long long>(results.test_images),
             results.machine.c_str(), results.precision.c_str(), results.version.c_str());
  out += "Trained for " + duration_text(seconds);
  if (all_seconds > seconds) out += ", and the controls for " + duration_text(all_seconds - seconds);
  out += ".\n";
  if (const auto words = verdict(results); !words.empty()) out += "\n" + words;
  return out;
}

}  // namespace mfi
