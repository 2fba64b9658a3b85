// Where a run's numbers come from, and how to have them again.
#include "mfi/core/text.h"
#include "mfi/report/page_parts.h"

namespace mfi {
namespace {

std::string recipe_markup(const RunReport& report) {
  if (!report.recipe_missing.empty()) return missing_markup("The recipe", report.recipe_missing);
  HtmlTable table("Keys of the recipe that differ from the default", {{"Key"}, {"value"}, {"default"}, {"meaning"}});
  int64_t differing = 0;
  for (const auto& line : report.recipe) {
    if (!line.differs) continue;
    ++differing;
    HtmlCell meaning{line.meaning};
    meaning.style_class = "long";
    table.add_row({{line.key}, {line.value}, {line.default_value}, meaning});
  }
  Html html;
  if (differing > 0)
    html.markup(table.markup());
  else
    html.element("p", "Every key of the recipe has its default.");
  Html whole;
  whole.open("pre", {{"tabindex", "0"}}).element("code", report.recipe_toml).close();
  html.markup(
      folded_markup(format("The whole recipe (%lld keys)", static_cast<long long>(report.recipe.size())), whole.str()));
  return html.str();
}

}  // namespace

std::string repeat_section(const RunReport& report) {
  const auto& results = report.results;
  Html html;
  html.element("p", "This command repeats the run. recipe.toml is the file in the run folder, and the text below.");
  const bool needs_data = results.dataset != "sample";
  html.open("pre", {{"tabindex", "0"}});
  html.element("code", "mfi run recipe.toml" + std::string(needs_data ? " --data DIR" : "") +
                           (results.unlabelled_pictures > 0 ? " --unlabelled PICTURES" : "") + " --out runs/" +
                           results.run + "-again");
  html.close();
  html.open("dl");
  const auto line = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) html.element("dt", name).element("dd", value);
  };
  line("Run", results.run);
  line("Dataset", results.dataset + ", " + grouped(results.training_images) + " training and " +
                      grouped(results.test_images) + " test images");
  line("Fingerprint of the data",
       results.data_fingerprint.empty() ? "not recorded: the run was made by an older mfi" : results.data_fingerprint);
  if (results.unlabelled_pictures > 0) {
    line("Pictures without labels", grouped(results.unlabelled_pictures));
    line("Their fingerprint", results.unlabelled_fingerprint);
  }
  line("Precision", results.precision);
  line("Machine", results.machine);
  line("Versions", results.version);
  html.close();
  html.element(
      "p",
      "The same recipe, data, version and number of threads on the same kind of processor give the same models to "
      "the byte; another number of threads, or another processor, moves results by rounding.",
      {{"class", "soft"}});
  return html.markup(recipe_markup(report)).str();
}

}  // namespace mfi
