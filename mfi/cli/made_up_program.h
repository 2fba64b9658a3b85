// A made-up program, for tests of what is made of a table of commands.
#pragma once

#include <string>
#include <vector>

#include "mfi/cli/command_table.h"
#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"

namespace mfi {

struct MadeUpProgram {
  CLI::App app{"A made-up program", "mfi"};
  std::string recipe, heat, into, thing, with;
  std::vector<std::string> herbs;
  int minutes = 0;
  bool salt = true;

  MadeUpProgram() {
    app.require_subcommand(1);
    auto* cook = app.add_subcommand("cook", "Cook something");
    cook->add_option("RECIPE", recipe, "What to cook")->required();
    auto* time = cook->add_option("--minutes", minutes, "For how long");
    cook->add_option("--heat", heat, "How hot")->check(CLI::IsMember({"low", "medium", "high"}))->excludes(time);
    cook->add_option("--into", into, "Where to")->type_name("DIR")->required();
    cook->add_option("--herb", herbs, "Another herb")->allow_extra_args(false);
    cook->add_flag("--salt,!--no-salt", salt, ".salt is no command: \\ and it's ~tilde")->group("Seasoning");
    cook->footer("Two lines\nof prose.\n\nExample:\n  mfi cook soup.toml --into pot" +
                 exit_codes_section({ExitCode::recipe}));
    auto* wash = app.add_subcommand("wash", "Wash up");
    wash->add_option("THING", thing, "What to wash")->check(CLI::IsMember({"forks", "knives"}));
    wash->add_option("--with", with, "What with");
  }
};

/// The message with which check_words refuses these words; "" when it takes them.
inline std::string refusal(const std::vector<std::string>& words) {
  MadeUpProgram program;
  std::vector<const char*> argv{"mfi"};
  for (const auto& word : words) argv.push_back(word.c_str());
  try {
    check_words(program.app, static_cast<int>(argv.size()), argv.data());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace mfi
