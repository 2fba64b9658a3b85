// mfi run
#include <cstdlib>
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
#include "mfi/pipeline/runner.h"
#include "mfi/pipeline/side_by_side.h"
#include "mfi/report/console.h"
#include "mfi/report/results_table.h"

namespace mfi {
namespace {

struct RunArguments {
  std::string recipe, data, unlabelled, out, progress = "auto", only;
  std::string on_nonfinite = "stop";
  std::vector<std::string> settings, force;
  int64_t jobs = 1;
  bool yes = false, repeatable = false;
  bool no_report = false, no_latency = false;
};

std::unique_ptr<RunObserver> make_observer(const RunArguments& arguments, const Recipe& recipe, const Plan& plan) {
  ConsoleSettings settings;
  settings.jobs = arguments.jobs;
  settings.only_some = !arguments.only.empty();
  settings.threads = step_threads(recipe, plan, arguments.jobs);
  return progress_observer(arguments.progress, plan, settings);
}

// What others see of this run: mfi watch.
std::unique_ptr<RunObserver> make_progress_writer(const RunOptions& options) {
  if (options.jobs > 1) return std::make_unique<RunProgressWriter>(options.out, options.jobs);
  return std::make_unique<StepProgressWriter>(options.out, /*only=*/!options.only.empty());
}

// The recipe as the run has written it down: the user's file may change while the run goes on.
std::vector<std::string> step_command(const RunOptions& options, const std::string& unlabelled, const std::string& step,
                                      bool forced) {
  std::vector<std::string> out{
      "/proc/self/exe", "run", options.out / "recipe.toml", "--out", options.out, "--progress", "json", "--no-report",
      "--only",         step};
  if (!options.data.empty()) out.insert(out.end(), {"--data", options.data});
  if (!unlabelled.empty()) out.insert(out.end(), {"--unlabelled", unlabelled});
  if (forced) out.insert(out.end(), {"--force", step});
  if (options.repeatable) out.push_back("--repeatable");
  if (options.on_nonfinite == OnNonfinite::rewind) out.push_back("--on-nonfinite=rewind");
  out.push_back("--yes");  // the run has asked
  return out;
}

// For a process that others wait for no more: it may be stuck where no exception reaches it.
[[noreturn]] void end_at_once(const PeerError& error) {
  std::cerr << "mfi: " << error.what() << std::endl;
  std::_Exit(static_cast<int>(error.exit_code()));
}

// Calls `work` so that what it throws ends the other processes too.
template <class Work>
void share_fate(Processes& processes, const Work& work) {
  try {
    work();
    processes.finish();
  } catch (const Error& error) {
    processes.say_farewell(error);
    throw;
  } catch (const std::exception& error) {
    processes.say_farewell(Error(ExitCode::internal, error.what()));
    throw;
  }
}

void run(const RunArguments& arguments) {
  const auto place = process_place(process_environment());
  auto recipe = read_recipe(arguments.recipe, arguments.settings);
  recipe.data.unlabelled = arguments.unlabelled;
  RunOptions options;
  options.out =
      arguments.out.empty() ? std::filesystem::path("runs") / recipe.name : std::filesystem::path(arguments.out);
  options.data = data_folder(arguments.data, recipe.data.dataset);
  const auto plan = make_plan(recipe, data_shape(recipe.data, options.data));
  options.force = arguments.force;
  options.only = arguments.only;
  options.jobs = arguments.jobs;
  options.repeatable = arguments.repeatable;
  if (arguments.on_nonfinite == "rewind") options.on_nonfinite = OnNonfinite::rewind;
  if (!arguments.yes) options.confirm = ask_at_terminal;
  options.step_command = [&](const std::string& step, bool forced) {
    return step_command(options, arguments.unlabelled, step, forced);
  };

  if (place && options.jobs > 1)
    throw UsageError("--jobs " + std::to_string(options.jobs) +
                     " in a run of several processes (docs/distributed.md): expected 1. "
                     "Either processes train a step together, or steps run side by side");

  install_stop_handlers();
  const auto processes = place ? Processes::join(*place, end_at_once) : nullptr;
  options.processes = processes.get();
  if (processes && !processes->is_first()) {
    RunObserver silent;
    share_fate(*processes, [&] { run_pipeline(recipe, options, silent); });
    return;
  }
  RunResults results;
  Dataset test;
  {
    const auto files = make_progress_writer(options), console = make_observer(arguments, recipe, plan);
    FanOut observers({files.get(), console.get()});
    const auto work = [&] { results = run_pipeline(recipe, options, observers, &test); };
    if (processes)
      share_fate(*processes, work);
    else
      work();
  }
  std::cout << results_table(results) << std::flush;
  const bool speaks = arguments.progress != "none" && arguments.progress != "json";
  if (speaks) std::cerr << "'mfi report " << shell_quoted(options.out.string()) << "' prints this table again.\n";
  // Of steps that run on their own, the last one finds all of them done.
  if (arguments.no_report || results.steps.size() < plan.steps.size()) return;
  ReportFile report{options.out};
  report.latency = !arguments.no_latency;
  report.test = test.size() > 0 ? &test : nullptr;
  report.data = arguments.data;
  const auto file = write_report(report);
  if (speaks) std::cerr << file.string() << " shows it with charts and pictures.\n";
}

}  // namespace

void add_run_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("run", "Carry out every step of a recipe that is not done yet");
  auto arguments = std::make_shared<RunArguments>();
  command->add_option("RECIPE", arguments->recipe, "Recipe file (docs/recipes.md)")->required();
  command->add_option("--data", arguments->data, "Folder of the dataset; default: the environment's MFI_DATA")
      ->type_name("DIR");
  add_unlabelled_option(*command, arguments->unlabelled);
  command->add_option("--out", arguments->out, "Run folder; default: runs/NAME, by the recipe's name")
      ->type_name("RUN");
  command->add_option("--set", arguments->settings, "Another value for a key of the recipe")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--force", arguments->force, "Run this step again although it is done")
      ->type_name("STEP")
      ->allow_extra_args(false);
  command->add_flag("--yes", arguments->yes,
                    "Replace trained steps whose settings or data have changed, without asking");
  command->add_flag("--repeatable", arguments->repeatable,
                    "Give the same bytes each time, or refuse: when an interrupted step was on another machine");
  add_on_nonfinite_option(*command, arguments->on_nonfinite);
  auto* only = command->add_option("--only", arguments->only, "Run just this step; what it needs must be done")
                   ->type_name("STEP");
  command
      ->add_option("--jobs", arguments->jobs,
                   "Steps that may run at once, each with its share of the cores; default: 1")
      ->check(CLI::Range(1, 1024))
      ->excludes(only);
  add_progress_option(*command, arguments->progress);
  command->add_flag("--no-report", arguments->no_report, "Do not write report.html at the end");
  command->add_flag("--no-latency", arguments->no_latency, "Do not measure for it how long the networks take");
  command->footer(
      "The same command again goes on where it was interrupted. "
      "Started by torchrun, srun or mpirun, the processes train together (docs/distributed.md). "
      "Progress goes to standard error, the table at the end to standard output.\n\n"
      "Examples:\n"
      "  mfi run recipes/cifar10-resnet34-w16.toml --data ~/data --set hybrid.epochs=8\n"
      "  mfi run recipes/cifar10-resnet34-w16.toml --data ~/data --jobs 4" +
      exit_codes_section({ExitCode::usage, ExitCode::bad_data, ExitCode::not_found, ExitCode::lost,
                          ExitCode::cannot_write, ExitCode::io, ExitCode::busy, ExitCode::diverged, ExitCode::recipe,
                          ExitCode::checkpoint, ExitCode::interrupted, ExitCode::terminated}) +
      environment_section({"MFI_DATA", "OMP_NUM_THREADS"}));
  command->callback([=, &action] { action = [=] { run(*arguments); }; });
}

}  // namespace mfi
