// Manual pages for man(1), from the same table as --help.
#pragma once

#include <string>

#include "mfi/cli/command_table.h"

namespace mfi {

/// "mfi-data-get.1".
std::string man_page_file(const Command& command);

/// The page of `command`, one of all_commands(root), in roff with the macros of man(7).
std::string man_page(const Command& root, const Command& command, const std::string& version);

}  // namespace mfi
