#include "mfi/cli/command_table.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

namespace mfi {
namespace {

// CLI11 has the choices of a set nowhere but in what it prints: "NAME:{a,b,c}".
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> out;
  const auto open = type.find(":{"), close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return out;
  std::istringstream items(type.substr(open + 2, close - open - 2));
  for (std::string item; std::getline(items, item, ',');) out.push_back(item);
  return out;
}

// CLI11 names what has no name of ours by its type.
std::string value_name(const std::string& type) {
  const auto name = type.substr(0, type.find_first_of(": "));
  if (name == "INT" || name == "UINT") return "N";
  if (name == "FLOAT") return "X";
  return name.empty() ? "VALUE" : name;
}

ValueKind kind_of(const std::string& value) {
  static const std::map<std::string, ValueKind> kinds{
      {"DIR", ValueKind::folder},   {"FOLDER", ValueKind::folder},
      {"RUN", ValueKind::folder},   {"FILE", ValueKind::file},
      {"PATH", ValueKind::file},    {"EXPORT", ValueKind::file},
      {"MODEL", ValueKind::model},  {"RECIPE", ValueKind::recipe},
      {"STEP", ValueKind::step},    {"SECTION.KEY=VALUE", ValueKind::setting},
      {"PROGRAM", ValueKind::file},
  };
  const auto found = kinds.find(value);
  return found == kinds.end() ? ValueKind::free : found->second;
}

std::vector<std::string> names_of(const std::set<CLI::Option*>& options) {
  std::vector<std::string> out;
  for (const auto* option : options) out.push_back(option->get_name());
  std::sort(out.begin(), out.end());  // the set's order is that of addresses
  return out;
}

CommandOption read_option(const CLI::Option& option) {
  CommandOption out;
  for (const auto& name : option.get_lnames()) out.flags.push_back("--" + name);
  for (const auto& name : option.get_snames()) out.flags.push_back("-" + name);
  const auto type = option.get_type_name();
  out.choices = choices_of(type);
  if (out.is_argument())
    out.value = option.get_name(true, false);
  else if (option.get_items_expected_max() > 0)
    out.value = value_name(type);
  out.description = option.get_description();
  if (option.get_group() != "Options") out.group = option.get_group();
  if (out.description.find("default") == std::string::npos) out.default_text = option.get_default_str();
  out.kind = out.choices.empty() ? kind_of(out.value) : ValueKind::choice;
  out.required = option.get_required();
  out.excludes = names_of(option.get_excludes());
  out.needs = names_of(option.get_needs());
  // A list in one word, as R,G,B, is given once; CLI11 keeps its values apart all the same.
  out.repeats = option.get_items_expected_max() > 1 && option.get_delimiter() == '\0';
  return out;
}

// Paragraphs of prose, and headings ("Example:") with lines of two blanks under them.
void read_footer(const std::string& footer, Command& command) {
  std::istringstream lines(footer);
  std::string paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty()) command.notes.push_back(paragraph);
    paragraph.clear();
  };
  bool in_section = false;
  for (std::string line; std::getline(lines, line);) {
    if (in_section && line.starts_with("  ")) {
      command.sections.back().lines.push_back(line.substr(2));
      continue;
    }
    in_section = false;
    if (line.empty()) {
      end_paragraph();
    } else if (line.ends_with(":") && lines.peek() == ' ') {
      end_paragraph();
      command.sections.push_back({line.substr(0, line.size() - 1), {}});
      in_section = true;
    } else {
      paragraph += (paragraph.empty() ? "" : " ") + line;
    }
  }
  end_paragraph();
}

Command read_command(const CLI::App& app, const std::vector<std::string>& words) {
  Command out;
  out.words = words;
  out.description = app.get_description();
  if (app.get_group() != "Subcommands") out.group = app.get_group();
  read_footer(app.get_footer(), out);
  const auto options = app.get_options();
  for (const bool arguments : {true, false})
    for (const auto* option : options) {
      if (option == app.get_help_ptr() || option->get_group().empty()) continue;
      if (option->get_positional() == arguments) out.options.push_back(read_option(*option));
    }
  for (const auto* subcommand : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (subcommand->get_group().empty()) continue;
    auto longer = words;
    longer.push_back(subcommand->get_name());
    out.commands.push_back(read_command(*subcommand, longer));
  }
  return out;
}

void collect(const Command& command, std::vector<const Command*>& out) {
  out.push_back(&command);
  for (const auto& each : command.commands) collect(each, out);
}

}  // namespace

std::string Command::spoken() const {
  std::string out = "mfi";
  for (const auto& word : words) out += " " + word;
  return out;
}

std::vector<CommandOption> Command::arguments() const {
  std::vector<CommandOption> out;
  std::copy_if(options.begin(), options.end(), std::back_inserter(out), [](const auto& o) { return o.is_argument(); });
  return out;
}

std::vector<CommandOption> Command::flags() const {
  std::vector<CommandOption> out;
  std::copy_if(options.begin(), options.end(), std::back_inserter(out), [](const auto& o) { return !o.is_argument(); });
  return out;
}

const FooterSection* Command::section(const std::string& title_start) const {
  for (const auto& each : sections)
    if (each.title.starts_with(title_start)) return &each;
  return nullptr;
}

const Command* Command::find(const std::string& word) const {
  for (const auto& command : commands)
    if (command.words.back() == word) return &command;
  return nullptr;
}

const CommandOption* Command::find_flag(const std::string& flag) const {
  for (const auto& option : options)
    if (std::find(option.flags.begin(), option.flags.end(), flag) != option.flags.end()) return &option;
  return nullptr;
}

Command command_table(const CLI::App& app) { return read_command(app, {}); }

std::vector<const Command*> all_commands(const Command& root) {
  std::vector<const Command*> out;
  collect(root, out);
  return out;
}

}  // namespace mfi
