// docs/errors.md, which is part of the program.
#pragma once

#include <string>

#include "mfi/core/error.h"

namespace mfi {

/// The whole page, as it was when the program was built.
const char* errors_page();

/// The section "## CODE NAME" for a terminal of 80 columns.
std::string errors_page_section(ExitCode code, const std::string& name);

/// The section about a message: the one "### `PART`" whose PART is in it; "" when there is none.
std::string errors_page_message(const std::string& message);

}  // namespace mfi
