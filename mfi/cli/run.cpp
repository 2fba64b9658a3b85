// mfi run
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "mfi/cli/commands.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/distributed/processes.h"
#include "mfi/pipeline/runner.h"
#include "mfi/report/console.h"
#include "mfi/report/results_table.h"

namespace mfi {
namespace {

struct RunArguments {
  std::string recipe, data, out, progress = "auto";
  std::vector<std::string> settings, force;
};

size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

ConsoleSettings console_settings(const std::string& progress) {
  ConsoleSettings out;
  out.width = terminal_width;
  const char* terminal = std::getenv("TERM");
  const bool can_go_back = isatty(STDERR_FILENO) && terminal && std::string(terminal) != "dumb";
  if (progress == "bar" || (progress == "auto" && can_go_back)) out.style = ProgressStyle::live;
  if (progress == "none") out.style = ProgressStyle::none;
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
  const auto recipe = read_recipe(arguments.recipe, arguments.settings);
  const auto plan = make_plan(recipe, dataset_classes(recipe.data.dataset));
  RunOptions options;
  options.out =
      arguments.out.empty() ? std::filesystem::path("runs") / recipe.name : std::filesystem::path(arguments.out);
  options.data = data_folder(arguments.data, recipe.data.dataset);
  options.force = arguments.force;

  install_stop_handlers();
  const auto processes = place ? Processes::join(*place, end_at_once) : nullptr;
  options.processes = processes.get();
  if (processes && !processes->is_first()) {
    RunObserver silent;
    share_fate(*processes, [&] { run_pipeline(recipe, options, silent); });
    return;
  }
  RunResults results;
  {
    ConsoleObserver observer(std::cerr, plan, dataset_training_images(recipe.data),
                             console_settings(arguments.progress));
    const auto work = [&] { results = run_pipeline(recipe, options, observer); };
    if (processes)
      share_fate(*processes, work);
    else
      work();
  }
  std::cout << results_table(results);
  if (arguments.progress != "none")
    std::cerr << "'mfi report " << options.out.string() << "' prints this table again.\n";
}

}  // namespace

void add_run_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("run", "Carry out every step of a recipe that is not done yet");
  auto arguments = std::make_shared<RunArguments>();
  command->add_option("RECIPE", arguments->recipe, "Recipe file (docs/recipes.md)")->required();
  command->add_option("--data", arguments->data, "Folder of the dataset; default: the environment's MFI_DATA");
  command->add_option("--out", arguments->out, "Run folder; default: runs/NAME, by the recipe's name");
  command->add_option("--set", arguments->settings, "SECTION.KEY=VALUE: another value for a key of the recipe")
      ->allow_extra_args(false);
  command->add_option("--force", arguments->force, "STEP: run this step again although it is done")
      ->allow_extra_args(false);
  command->add_option("--progress", arguments->progress, "auto: one live line on a terminal, plain lines elsewhere")
      ->check(CLI::IsMember({"auto", "bar", "plain", "none"}));
  command->footer(
      "The same command again goes on where it was interrupted.\n"
      "Started by torchrun, srun or mpirun, the processes train together (docs/distributed.md).\n"
      "Progress goes to standard error, the table at the end to standard output.\n\n"
      "Example:\n"
      "  mfi run recipes/cifar10-resnet34-w16.toml --data ~/data --set hybrid.epochs=8");
  command->callback([=, &action] { action = [=] { run(*arguments); }; });
}

}  // namespace mfi
