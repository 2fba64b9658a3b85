// The commands of the program, one file each.
#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <functional>
#include <string>

namespace mfi {

/// What the chosen command does, once the whole command line has been read.
using Action = std::function<void()>;

void add_run_command(CLI::App& program, Action& action);
void add_search_command(CLI::App& program, Action& action);
void add_watch_command(CLI::App& program, Action& action);
void add_plan_command(CLI::App& program, Action& action);
void add_eval_command(CLI::App& program, Action& action);
void add_export_command(CLI::App& program, Action& action);
void add_verify_command(CLI::App& program, Action& action);
void add_import_command(CLI::App& program, Action& action);
void add_predict_command(CLI::App& program, Action& action);
void add_inspect_command(CLI::App& program, Action& action);
void add_report_command(CLI::App& program, Action& action);
void add_data_command(CLI::App& program, Action& action);
void add_bench_command(CLI::App& program, Action& action);
void add_version_command(CLI::App& program, Action& action);
void add_explain_command(CLI::App& program, Action& action);
void add_completion_command(CLI::App& program, Action& action);
void add_man_command(CLI::App& program, Action& action);

/// Where a dataset lies: the folder given, else the environment's MFI_DATA; "" for the sample.
/// Throws NotFoundError saying how to get the data when there is neither.
std::filesystem::path data_folder(const std::string& given, const std::string& dataset);

/// Refuses a command, a flag or a value of a fixed set that `program` does not have, naming the nearest one. CLI11
/// alone would complain about whatever it misses first. Returns the command as spoken, "mfi data get".
std::string check_words(const CLI::App& program, int argc, const char* const* argv);

}  // namespace mfi
