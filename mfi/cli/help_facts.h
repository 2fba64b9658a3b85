// What every page of help says in the same words: exit codes, environment variables.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "mfi/core/error.h"

namespace mfi {

struct ExitCodeFact {
  ExitCode code;
  const char* name;     // as in docs/errors.md
  const char* meaning;  // half a sentence
};

/// Every exit code, in the order of its number.
const std::vector<ExitCodeFact>& exit_code_facts();

struct EnvironmentFact {
  const char* name;
  const char* meaning;
};

/// The environment variables that the program reads, but for those of launchers (docs/distributed.md).
const std::vector<EnvironmentFact>& environment_facts();

/// A section of a command's footer with these exit codes.
std::string exit_codes_section(std::initializer_list<ExitCode> codes);

/// A section of a command's footer with these variables, which must be among environment_facts().
std::string environment_section(std::initializer_list<const char*> names);

/// The text in lines of at most `width` letters, each but the first behind `indent` blanks. A word that is longer
/// stays whole.
std::string wrapped(const std::string& text, size_t width, size_t indent = 0);

}  // namespace mfi
