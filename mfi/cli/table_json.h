// The table of commands as JSON, for programs: this project's own tests and site are two.
#pragma once

#include <string>
#include <vector>

#include "mfi/cli/command_table.h"
#include "mfi/cli/completion_scripts.h"

namespace mfi {

std::string table_json(const Command& root, const std::vector<CompletionKey>& keys);

}  // namespace mfi
