// Commands that somebody may copy into a shell.
#pragma once

#include <string>

namespace mfi {

/// The text in single quotes of a POSIX shell, whatever is in it.
std::string single_quoted(const std::string& text);

/// The text as one word of a POSIX shell, whatever is in it: in quotes where it needs them.
std::string shell_quoted(const std::string& text);

}  // namespace mfi
