// mfi report
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/report_file.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/pipeline/runner.h"
#include "mfi/report/gather.h"
#include "mfi/report/results_table.h"
#include "mfi/report/run_comparison.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

struct ReportArguments {
  std::vector<std::string> runs;
  std::string html, data;
  bool page = false, no_latency = false;
};

// The folder's name where it is its own, else the path as it was given.
std::string name_of(const std::string& run, const std::vector<std::string>& runs) {
  const auto last = [](const std::string& path) { return fs::absolute(path / fs::path()).parent_path().filename(); };
  const auto same =
      std::count_if(runs.begin(), runs.end(), [&](const auto& other) { return last(other) == last(run); });
  return same > 1 || last(run).empty() ? run : last(run).string();
}

std::vector<ComparedRun> read_runs(const std::vector<std::string>& runs) {
  std::vector<ComparedRun> out;
  for (const auto& run : runs) {
    ComparedRun compared{name_of(run, runs), collect_results(run), {}, ""};
    try {
      compared.recipe = recipe_lines(read_recipe(fs::path(run) / "recipe.toml"));
    } catch (const Error& error) {
      compared.recipe_missing = error.what();
    }
    out.push_back(compared);
  }
  return out;
}

void write_comparison(const ReportArguments& arguments) {
  if (arguments.html.empty())
    throw UsageError("--html of several runs: expected a file to write, as --html comparison.html after the runs");
  if (fs::is_directory(arguments.html))
    throw UsageError("--html " + arguments.html + ": expected a file, this is a folder; runs come before --html");
  replace_file(arguments.html, comparison_page(read_runs(arguments.runs)));
  std::cerr << "wrote " << arguments.html << "\n";
}

void report(const ReportArguments& arguments) {
  if (!arguments.page && (!arguments.data.empty() || arguments.no_latency))
    throw UsageError(std::string(arguments.data.empty() ? "--no-latency" : "--data") + ": expected --html with it");
  if (arguments.runs.size() > 1) {
    if (arguments.page) return write_comparison(arguments);
    std::cout << comparison_text(read_runs(arguments.runs));
    return;
  }
  const auto& run = arguments.runs.front();
  if (!arguments.page) {
    std::cout << results_table(collect_results(run));
    return;
  }
  ReportFile file{run, arguments.html};
  file.latency = !arguments.no_latency;
  file.data = arguments.data;
  const auto written = write_report(file);  // before a word: it may fail
  std::cerr << "wrote " << written.string() << "\n";
}

}  // namespace

void add_report_command(CLI::App& program, Action& action) {
  auto* command =
      program.add_subcommand("report", "Show a run again as a table or a page, or several beside each other");
  auto arguments = std::make_shared<ReportArguments>();
  command->add_option("RUN", arguments->runs, "Run folders; several are compared")->type_name("RUN")->required();
  auto* html =
      command
          ->add_option("--html", arguments->html,
                       "Write a page instead of printing a table; of one run to its report.html, unless told where")
          ->type_name("FILE")
          ->expected(0, 1);
  command
      ->add_option("--data", arguments->data,
                   "With --html: folder of the dataset, for pictures; default: the environment's MFI_DATA")
      ->type_name("DIR");
  command->add_flag("--no-latency", arguments->no_latency, "With --html: do not measure how long the networks take");
  command->footer(
      "Examples:\n"
      "  mfi report runs/cifar10-resnet34-w16\n"
      "  mfi report runs/cifar10-resnet34-w16 --html --data ~/data\n"
      "  mfi report runs/one runs/another --html comparison.html" +
      exit_codes_section({ExitCode::not_found, ExitCode::cannot_write}) + environment_section({"MFI_DATA"}));
  command->callback([=, &action] {
    arguments->page = html->count() > 0;
    action = [=] { report(*arguments); };
  });
}

}  // namespace mfi
