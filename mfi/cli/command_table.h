// The program's commands as plain values, read off its CLI::App: help, man pages, completions and checks all run from
// it.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace mfi {

/// What a value is, for a shell that completes it.
enum class ValueKind {
  free,     // a number, or a name that nobody can list
  choice,   // one of `choices`
  file,     // any file or folder
  folder,   // a folder
  model,    // *.safetensors
  recipe,   // *.toml
  setting,  // SECTION.KEY=VALUE of a recipe
  step,     // a step of the recipe that is given
};

/// A flag, or an argument without one.
struct CommandOption {
  std::vector<std::string> flags;            // "--probe", "--no-probe"; empty: an argument
  std::string value;                         // what stands for it in a usage line: "DIR"; "" for a switch
  std::string description;                   // one sentence without a full stop
  std::string group;                         // heading that it stands under; "" for the usual one
  std::vector<std::string> choices;          // all that it may be; empty: not a fixed set
  std::string default_text;                  // where the program knows one that the description does not say
  std::vector<std::string> excludes, needs;  // other flags that it cannot, or must, stand beside
  ValueKind kind = ValueKind::free;
  bool required = false;
  bool repeats = false;  // may be given, or stand, several times

  bool is_argument() const { return flags.empty(); }
  bool is_switch() const { return value.empty(); }
  /// "--data", or "RECIPE".
  const std::string& name() const { return is_argument() ? value : flags.front(); }
};

/// A heading of a command's last paragraphs, as "Examples", and the lines under it.
struct FooterSection {
  std::string title;
  std::vector<std::string> lines;  // without the two blanks that they begin with
};

struct Command {
  std::vector<std::string> words;  // "data", "get"; empty: the program itself
  std::string description, group;
  std::vector<std::string> notes;  // paragraphs of prose
  std::vector<FooterSection> sections;
  std::vector<CommandOption> options;  // in the order of the usage line, then of definition; without --help
  std::vector<Command> commands;

  /// "mfi data get".
  std::string spoken() const;
  std::vector<CommandOption> arguments() const;
  std::vector<CommandOption> flags() const;
  const FooterSection* section(const std::string& title_start) const;
  /// The one of that name among `commands`, or null.
  const Command* find(const std::string& word) const;
  /// The flag, by any of its names, or null.
  const CommandOption* find_flag(const std::string& flag) const;
};

/// `app` with all its commands but hidden ones.
Command command_table(const CLI::App& app);

/// The command and all below it, each before its own.
std::vector<const Command*> all_commands(const Command& root);

}  // namespace mfi
