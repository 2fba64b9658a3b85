#include "mfi/report/search_table.h"

#include "mfi/core/text.h"
#include "mfi/report/text_table.h"
#include "mfi/report/verdict.h"

namespace mfi {
namespace {

std::string percent_of(double part, double whole) { return format("%.1f %%", whole > 0 ? 100 * part / whole : 0); }

}  // namespace

std::string search_table(const SearchResults& r) {
  using Align = TextTable::Align;
  TextTable table({{"point"},
                   {"stages"},
                   {"parameters", Align::right},
                   {"MACs", Align::right},
                   {"time", Align::right},
                   {"expected", Align::right},
                   {"measured", Align::right},
                   {"held out", Align::right},
                   {"drop", Align::right},
                   {""}});
  const auto row = [&](const SearchPoint& p) {
    table.add_row({p.name, join(p.stages, " | "),
                   percent_of(static_cast<double>(p.parameters), static_cast<double>(r.teacher.parameters)),
                   percent_of(static_cast<double>(p.macs), static_cast<double>(r.teacher.macs)),
                   percent_of(p.milliseconds, r.teacher.milliseconds), format("%.4f", p.divergence),
                   p.measured < 0 ? "-" : format("%.4f", p.measured), format("%.2f %%", p.held_out_percent),
                   format("%.2f", r.teacher.held_out_percent - p.held_out_percent),
                   p.chosen ? "chosen" : (p.on_front ? "front" : "")});
  };
  row(r.teacher);
  table.add_rule();
  for (const auto& point : r.points) row(point);
  std::string text = table.text();
  text += format(
      "Expected and measured: divergence from the teacher before fine-tuning, in nats, by single candidates and pairs, "
      "and of the whole network, on %lld of the held-out images.\n",
      static_cast<long long>(r.scored_images));
  text += format(
      "Accuracy on %lld held-out images after %lld epoch%s of fine-tuning on %lld others, the teacher's too "
      "(before: %.2f %%).\n",
      static_cast<long long>(r.held_out_images), static_cast<long long>(r.tuned_epochs), r.tuned_epochs == 1 ? "" : "s",
      static_cast<long long>(r.tuned_images), r.teacher_held_out_percent);
  text += format("A difference below %.1f points may be chance.\n",
                 chance_points(r.teacher.held_out_percent, r.teacher.held_out_percent, r.held_out_images));
  double tuning = r.teacher.seconds;
  for (const auto& point : r.points) tuning += point.seconds;
  if (r.mapping_seconds >= 0 && r.scoring_seconds >= 0 && r.teacher.seconds >= 0)
    text += "Mapping took " + duration_text(r.mapping_seconds) + ", scores " + duration_text(r.scoring_seconds) +
            ", fine-tuning " + duration_text(tuning) + ", now or in an earlier search.\n";
  if (const auto* chosen = r.chosen())
    text += format("Chosen%s: %s.\n", r.target.empty() ? "" : (" for " + r.target).c_str(), chosen->name.c_str());
  else if (r.max_drop >= 0)
    text += format("No point is within %.2f points of the teacher%s.\n", r.max_drop,
                   r.target.empty() ? "" : (" and " + r.target).c_str());
  else if (!r.target.empty())
    text += "No point is within " + r.target + " by what was measured.\n";
  return text;
}

}  // namespace mfi
