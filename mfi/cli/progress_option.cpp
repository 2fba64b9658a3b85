#include "mfi/cli/progress_option.h"

#include <poll.h>
#include <unistd.h>

#include <iostream>

#include "mfi/core/stop_signal.h"
#include "mfi/pipeline/events.h"

namespace mfi {

void add_on_nonfinite_option(CLI::App& command, std::string& on_nonfinite) {
  command
      .add_option(
          "--on-nonfinite", on_nonfinite,
          "Where a loss, gradient or statistic is NaN or infinite: stop (the default), or rewind: go back to the "
          "last state with half the learning rate")
      ->check(CLI::IsMember({"stop", "rewind"}));
}

void add_progress_option(CLI::App& command, std::string& progress) {
  command
      .add_option("--progress", progress,
                  "auto (the default): a live list of the steps on a terminal, plain lines elsewhere")
      ->check(CLI::IsMember({"auto", "bar", "plain", "json", "none"}));
}

void add_unlabelled_option(CLI::App& command, std::string& place) {
  command
      .add_option("--unlabelled", place,
                  "Folder or archive of pictures without labels, for mapping and distillation beside the dataset")
      ->type_name("DIR");
}

std::unique_ptr<RunObserver> progress_observer(const std::string& progress, const Plan& plan,
                                               ConsoleSettings settings) {
  if (progress == "json") return std::make_unique<EventWriter>(std::cerr);
  const auto terminal = terminal_features(STDERR_FILENO);
  settings.size = [] { return terminal_size(STDERR_FILENO); };
  settings.colour = terminal.colour;
  settings.unicode = terminal.unicode;
  if (progress == "bar" || (progress == "auto" && terminal.can_go_back)) settings.style = ProgressStyle::live;
  if (progress == "none") settings.style = ProgressStyle::none;
  return std::make_unique<ConsoleObserver>(std::cerr, plan, plan.data.training_images, settings);
}

bool ask_at_terminal(const std::string& text) {
  if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return false;
  std::cerr << text << ".\nGo on? [y/N] " << std::flush;
  for (pollfd input{STDIN_FILENO, POLLIN, 0}; poll(&input, 1, /*milliseconds=*/200) <= 0;) throw_if_stopped();
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace mfi
