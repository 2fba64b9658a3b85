// mfi explain
#include <algorithm>
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/errors_page.h"
#include "mfi/cli/help_facts.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

const ExitCodeFact* find_fact(const std::string& word) {
  for (const auto& fact : exit_code_facts())
    if (word == fact.name || word == std::to_string(static_cast<int>(fact.code))) return &fact;
  return nullptr;
}

void explain(const std::string& word) {
  if (word.empty()) {
    for (const auto& fact : exit_code_facts())
      std::cout << format("%-4d %-13s %s\n", static_cast<int>(fact.code), fact.name, fact.meaning);
    return;
  }
  if (const auto* fact = find_fact(word)) {
    std::cout << errors_page_section(fact->code, fact->name);
    return;
  }
  if (const auto text = errors_page_message(word); !text.empty()) {
    std::cout << text;
    return;
  }
  std::vector<std::string> names;
  for (const auto& fact : exit_code_facts()) {
    names.push_back(fact.name);
    names.push_back(std::to_string(static_cast<int>(fact.code)));
  }
  const auto nearest = nearest_name(word, names);
  throw UsageError("'" + shortened(word) + "' is no exit code, no name of one, and no message that has a section; " +
                   (nearest.empty() ? "'mfi explain' lists the codes" : "did you mean " + nearest + "?"));
}

}  // namespace

void add_explain_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("explain", "What an exit code or a message means, and what to do");
  auto word = std::make_shared<std::string>();
  command->add_option("CODE", *word, "An exit code, its name, or a message in quotes; without it, all codes in a list");
  command->footer(
      "Prints what docs/errors.md says about it.\n\n"
      "Examples:\n"
      "  mfi explain 75\n"
      "  mfi explain 'mfi: runs/x: in use by process 4711 on node1'");
  command->callback([=, &action] { action = [=] { explain(*word); }; });
}

}  // namespace mfi
