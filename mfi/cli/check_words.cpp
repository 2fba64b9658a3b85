#include <algorithm>
#include <iterator>

#include "mfi/cli/command_table.h"
#include "mfi/cli/commands.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

std::vector<std::string> names_of(const std::vector<Command>& commands) {
  std::vector<std::string> out;
  for (const auto& command : commands) out.push_back(command.words.back());
  return out;
}

void refuse_command(const Command& command, const std::string& word) {
  const auto nearest = nearest_name(word, names_of(command.commands));
  throw UsageError("unknown command '" + word + "'; " +
                   (nearest.empty() ? "'" + command.spoken() + "' has " + join(names_of(command.commands), ", ")
                                    : "did you mean '" + command.spoken() + " " + nearest + "'?"));
}

void refuse_flag(const Command& command, const std::string& flag) {
  std::vector<std::string> flags{"--help"};
  for (const auto& option : command.flags()) flags.insert(flags.end(), option.flags.begin(), option.flags.end());
  const auto nearest = nearest_name(flag, flags);
  throw UsageError("unknown flag " + flag + " of '" + command.spoken() + "'; " +
                   (nearest.empty() ? "see '" + command.spoken() + " --help'" : "did you mean " + nearest + "?"));
}

void check_choice(const CommandOption& option, const std::string& value) {
  const auto& choices = option.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  const auto nearest = nearest_name(value, choices);
  throw UsageError(option.name() + " is '" + value + "', expected one of " + join(choices, ", ") +
                   (nearest.empty() ? "" : "; did you mean " + nearest + "?"));
}

}  // namespace

std::string check_words(const CLI::App& program, int argc, const char* const* argv) {
  const auto root = command_table(program);
  const Command* command = &root;
  int i = 1;
  for (; i < argc && !command->commands.empty(); ++i) {
    const std::string word = argv[i];
    if (word.starts_with("-")) break;
    const auto* next = command->find(word);
    if (!next) refuse_command(*command, word);
    command = next;
  }

  const auto arguments = command->arguments();
  size_t position = 0;
  bool only_arguments = false;  // behind "--"
  for (; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--" && !only_arguments) {
      only_arguments = true;
    } else if (only_arguments || word.size() < 2 || word[0] != '-') {
      if (position < arguments.size()) {
        check_choice(arguments[position], word);
        if (!arguments[position].repeats) ++position;
      }
    } else {
      const auto equals = word.find('=');
      const auto flag = word.substr(0, equals);
      if (flag == "--help" || flag == "-h") continue;
      const auto* option = command->find_flag(flag);
      if (!option) refuse_flag(*command, flag);
      if (option->is_switch()) continue;
      if (equals != std::string::npos)
        check_choice(*option, word.substr(equals + 1));
      else if (i + 1 < argc && !(option->choices.size() && std::string(argv[i + 1]).starts_with("-")))
        check_choice(*option, argv[++i]);
    }
  }
  return command->spoken();
}

}  // namespace mfi
