// --progress, --on-nonfinite, --unlabelled, and questions at the terminal: what commands that train have in common.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "mfi/report/console.h"

namespace mfi {

void add_on_nonfinite_option(CLI::App& command, std::string& on_nonfinite);
void add_progress_option(CLI::App& command, std::string& progress);
void add_unlabelled_option(CLI::App& command, std::string& place);

/// Writes to standard error what `progress` (auto, bar, plain, json or none) asks for. settings: what is not the
/// terminal's.
std::unique_ptr<RunObserver> progress_observer(const std::string& progress, const Plan& plan, ConsoleSettings settings);

/// Whether trained steps may be replaced. Without a terminal nobody can answer: false.
bool ask_at_terminal(const std::string& text);

}  // namespace mfi
