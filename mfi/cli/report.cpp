// mfi report
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/pipeline/runner.h"
#include "mfi/report/results_table.h"

namespace mfi {

void add_report_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("report", "Print the table of a run again");
  auto folder = std::make_shared<std::string>();
  command->add_option("RUN", *folder, "Run folder")->required();
  command->footer("Example:\n  mfi report runs/cifar10-resnet34-w16" + exit_codes_section({ExitCode::not_found}));
  command->callback([=, &action] { action = [=] { std::cout << results_table(collect_results(*folder)); }; });
}

}  // namespace mfi
