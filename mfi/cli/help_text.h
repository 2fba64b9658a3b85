// What --help prints, for terminals of 80 columns.
#pragma once

#include <string>

#include "mfi/cli/command_table.h"

namespace mfi {

/// The usage line without "Usage:", as "mfi data get DATASET --into DIR".
std::string usage_text(const Command& command);

/// A flag or argument with its value, as "--jobs N", "--precision fp32|bf16" or "PATH...".
std::string option_text(const CommandOption& option);

/// Its description, with the choices that option_text() has no room for, and the default.
std::string option_description(const CommandOption& option);

std::string help_text(const Command& command);

/// Lets CLI11 print help_text(); for the App before commands are added to it.
void use_help_text(CLI::App& program);

}  // namespace mfi
