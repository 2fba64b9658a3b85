// mfi search
#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/progress_option.h"
#include "mfi/cli/report_file.h"
#include "mfi/cli/shell_word.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/distributed/processes.h"
#include "mfi/pipeline/progress_writer.h"
#include "mfi/report/search_table.h"
#include "mfi/search/search_run.h"

namespace mfi {
namespace {

struct SearchArguments {
  std::string recipe, data, out, progress = "auto";
  std::vector<std::string> settings, targets;
  double max_drop = -1;
  std::string on_nonfinite = "stop";
  bool yes = false;
};

// Keeps the progress file of the teacher, for `mfi watch`: of a search's steps it alone is one of the run folder's.
class TeachersProgress : public RunObserver {
 public:
  explicit TeachersProgress(const std::filesystem::path& run) : writer_(run, /*only=*/true) {}

  void on_step_start(const PlannedStep& step, const std::vector<const PlannedStep*>& remaining) override {
    if (step.name == kTeacher) writer_.on_step_start(step, remaining);
  }
  void on_step_done(const StepResult& result, bool was_already_done) override {
    if (result.step == kTeacher) writer_.on_step_done(result, was_already_done);
  }
  void on_progress(const Progress& progress) override {
    if (progress.step == kTeacher) writer_.on_progress(progress);
  }
  void on_epoch(const std::string& step, const Metrics& row) override {
    if (step == kTeacher) writer_.on_epoch(step, row);
  }

 private:
  static constexpr const char* kTeacher = "teacher";
  StepProgressWriter writer_;
};

void search(const SearchArguments& arguments) {
  if (process_place(process_environment()))
    throw UsageError("mfi search: started as one of several processes, expected one alone");
  const auto recipe = read_recipe(arguments.recipe, arguments.settings);
  SearchOptions options;
  options.run.out =
      arguments.out.empty() ? std::filesystem::path("runs") / recipe.name : std::filesystem::path(arguments.out);
  options.run.data = data_folder(arguments.data, recipe.data.dataset);
  if (!arguments.yes) options.run.confirm = ask_at_terminal;
  if (arguments.on_nonfinite == "rewind") options.run.on_nonfinite = OnNonfinite::rewind;
  for (const auto& text : arguments.targets) options.targets.push_back(parse_target(text));
  if (std::isnan(arguments.max_drop)) throw UsageError("--max-drop is nan, expected points from 0 to 100");
  if (arguments.max_drop >= 0) options.max_drop = arguments.max_drop;

  install_stop_handlers();
  const auto plan = search_plan(recipe, data_shape(recipe.data, options.run.data));
  SearchResults results;
  {
    TeachersProgress file(options.run.out);
    const auto console = progress_observer(arguments.progress, plan, {});
    FanOut observers({&file, console.get()});
    results = run_search(recipe, options, observers);
  }
  std::cout << search_table(results) << std::flush;
  ReportFile report{options.run.out};
  report.data = arguments.data;
  const auto page = write_report(report);
  require_chosen(results, options.targets, options.max_drop);
  if (arguments.progress == "none" || arguments.progress == "json" || results.points.empty()) return;
  const auto* chosen = results.chosen();
  const auto recipe_file = options.run.out / "search" / ((chosen ? "chosen" : results.points.back().name) + ".toml");
  const auto data = arguments.data.empty() ? "" : " --data " + shell_quoted(arguments.data);
  std::cerr << "'mfi run " << shell_quoted(recipe_file.string()) << data << "' makes "
            << (chosen ? "it" : "the largest of them")
            << (recipe.data.validation > 0 ? ".\n" : " with all training images.\n") << page.string()
            << " shows all of them.\n";
}

}  // namespace

void add_search_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("search", "Find what each stage can be replaced by, and at what cost");
  auto arguments = std::make_shared<SearchArguments>();
  command->add_option("RECIPE", arguments->recipe, "Recipe file (docs/recipes.md), with what to try in [search]")
      ->required();
  command
      ->add_option("--target", arguments->targets,
                   "At most this share of the teacher's parameters (params), multiply-accumulates (macs) or measured "
                   "time for one image (latency); the first one given is what the front is drawn over")
      ->type_name("WHAT=SHARE")
      ->allow_extra_args(false);
  command
      ->add_option("--max-drop", arguments->max_drop,
                   "Choose the smallest network that loses at most so many points of held-out accuracy")
      ->type_name("POINTS")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--data", arguments->data, "Folder of the dataset; default: the environment's MFI_DATA")
      ->type_name("DIR");
  command->add_option("--out", arguments->out, "Run folder; default: runs/NAME, by the recipe's name")
      ->type_name("RUN");
  command->add_option("--set", arguments->settings, "Another value for a key of the recipe")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--yes", arguments->yes, "Train the teacher anew where its settings have changed, without asking");
  add_on_nonfinite_option(*command, arguments->on_nonfinite);
  add_progress_option(*command, arguments->progress);
  command->footer(
      "The same command again goes on where it was interrupted; another target uses what has been trained. The teacher "
      "of a run folder is taken as it is, where its settings have not changed. What is found lies in RUN/search "
      "(docs/search.md).\n\n"
      "Examples:\n"
      "  mfi search recipes/cifar10-resnet34-w16.toml --data ~/data \\\n"
      "    --target params=0.3 --set hybrid.distillation=0.9\n"
      "  mfi search recipes/sample.toml --target params=0.4 --target macs=0.6 \\\n"
      "    --set hybrid.distillation=0.9" +
      exit_codes_section({ExitCode::usage, ExitCode::bad_data, ExitCode::not_found, ExitCode::cannot_write,
                          ExitCode::io, ExitCode::busy, ExitCode::diverged, ExitCode::recipe, ExitCode::checkpoint,
                          ExitCode::missed, ExitCode::interrupted, ExitCode::terminated}) +
      environment_section({"MFI_DATA", "OMP_NUM_THREADS"}));
  command->callback([=, &action] { action = [=] { search(*arguments); }; });
}

}  // namespace mfi
