#include "mfi/cli/help_facts.h"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "mfi/core/text.h"

namespace mfi {

const std::vector<ExitCodeFact>& exit_code_facts() {
  static const std::vector<ExitCodeFact> facts{
      {ExitCode::ok, "ok", "everything was done"},
      {ExitCode::usage, "usage", "a command, flag, argument or step that does not exist, or is missing"},
      {ExitCode::bad_data, "bad_data", "a data file is cut, damaged, or not what its name says"},
      {ExitCode::not_found, "not_found", "a file or folder is not there, or a step that is needed is not done"},
      {ExitCode::lost, "lost", "another process of the same training is gone"},
      {ExitCode::internal, "internal", "a defect of mfi, or memory has run out"},
      {ExitCode::cannot_write, "cannot_write", "a folder or file cannot be made"},
      {ExitCode::io, "io", "reading or writing failed half way, as on a full disk"},
      {ExitCode::busy, "busy", "another process works in this run folder, or on this file"},
      {ExitCode::diverged, "diverged", "a loss or a weight is no longer a finite number"},
      {ExitCode::recipe, "recipe", "a recipe's key does not exist, or its value cannot be"},
      {ExitCode::checkpoint, "checkpoint", "a model file is damaged, or of another network"},
      {ExitCode::missed, "missed", "nothing that a search found is as small or as good as asked"},
      {ExitCode::interrupted, "interrupted", "Ctrl-C; the same command goes on"},
      {ExitCode::terminated, "terminated", "SIGTERM; the same command goes on"},
  };
  return facts;
}

const std::vector<EnvironmentFact>& environment_facts() {
  static const std::vector<EnvironmentFact> facts{
      {"MFI_DATA", "folder of the datasets, where --data is not given"},
      {"MFI_SAMPLE", "folder of the sample, when it is not where it was installed"},
      {"MFI_DATA_URL", "address of a mirror for 'mfi data get'"},
      {"OMP_NUM_THREADS", "compute threads, where the recipe has runtime.threads = 0"},
      {"XDG_CACHE_HOME", "where mfi/pictures keeps decoded pictures (data.cache = \"disk\"); default: ~/.cache"},
      {"TERM", "a terminal that is not \"dumb\" gets one live line of progress"},
  };
  return facts;
}

std::string exit_codes_section(std::initializer_list<ExitCode> codes) {
  std::string out = "\n\nExit codes ('mfi explain CODE' says more):";
  for (const auto code : codes)
    for (const auto& fact : exit_code_facts())
      if (fact.code == code) out += format("\n  %-4d %s", static_cast<int>(code), fact.meaning);
  return out;
}

std::string environment_section(std::initializer_list<const char*> names) {
  std::string out = "\n\nEnvironment:";
  size_t longest = 0;
  for (const char* name : names) longest = std::max(longest, std::strlen(name));
  for (const char* name : names) {
    const auto& facts = environment_facts();
    const auto fact = std::find_if(facts.begin(), facts.end(), [&](const auto& f) { return !strcmp(f.name, name); });
    if (fact == facts.end()) throw std::logic_error(std::string("environment_section: no fact about ") + name);
    out += format("\n  %-*s  %s", static_cast<int>(longest), name, fact->meaning);
  }
  return out;
}

std::string wrapped(const std::string& text, size_t width, size_t indent) {
  std::istringstream words(text);
  std::string out, line;
  for (std::string word; words >> word;) {
    if (!line.empty() && indent + line.size() + 1 + word.size() > width) {
      out += line + "\n" + std::string(indent, ' ');
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line;
}

}  // namespace mfi
