#include "mfi/cli/help_text.h"

#include <algorithm>
#include <memory>

#include "mfi/cli/help_facts.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kColumn = 24;  // where descriptions begin

std::string row(const std::string& left, const std::string& right) {
  std::string out = "  " + left;
  if (right.empty()) return out + "\n";
  if (out.size() + 2 > kColumn)
    out += "\n" + std::string(kColumn, ' ');
  else
    out.resize(kColumn, ' ');
  return out + wrapped(right, kWidth, kColumn) + "\n";
}

// The choices as they may stand in the left column; "" when there are too many.
std::string short_choices(const CommandOption& option) {
  const auto all = join(option.choices, "|");
  return all.size() <= 30 ? all : "";
}

// Headings in the order in which they first come up, the usual one first.
template <class Item>
std::vector<std::string> groups_of(const std::vector<Item>& items) {
  std::vector<std::string> out;
  for (const auto& item : items)
    if (std::find(out.begin(), out.end(), item.group) == out.end()) out.push_back(item.group);
  std::stable_partition(out.begin(), out.end(), [](const std::string& group) { return group.empty(); });
  return out;
}

class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    std::vector<std::string> words;
    const auto* program = app;
    for (; program->get_parent(); program = program->get_parent()) words.insert(words.begin(), program->get_name());
    const auto root = command_table(*program);
    const Command* command = &root;
    for (const auto& word : words)
      if (const auto* next = command->find(word)) command = next;
    return help_text(*command);
  }
};

}  // namespace

std::string option_text(const CommandOption& option) {
  std::string value = option.value;
  if (const auto choices = short_choices(option); !choices.empty() && !option.is_argument()) value = choices;
  auto out = join(option.flags, ", ");
  if (!value.empty()) out += (out.empty() ? "" : " ") + value;
  // A flag that may be repeated is named again each time; an argument just goes on.
  if (option.is_argument() && option.repeats) out += "...";
  return out;
}

std::string option_description(const CommandOption& option) {
  auto out = option.description;
  if (!option.choices.empty() && (option.is_argument() || short_choices(option).empty())) {
    const bool said = std::all_of(option.choices.begin(), option.choices.end(),
                                  [&](const auto& choice) { return out.find(choice) != std::string::npos; });
    if (!said) out += "; one of " + join(option.choices, ", ");
  }
  if (!option.is_argument() && option.repeats) out += "; any number of times";
  if (!option.excludes.empty()) out += "; not with " + join(option.excludes, " or ");
  if (!option.needs.empty()) out += "; only with " + join(option.needs, " and ");
  if (!option.default_text.empty()) out += "; default: " + option.default_text;
  return out;
}

std::string usage_text(const Command& command) {
  auto out = command.spoken();
  if (!command.commands.empty()) return out + " COMMAND";
  for (const auto& option : command.arguments()) {
    const auto choices = short_choices(option);
    const auto text = choices.empty() ? option_text(option) : choices;
    out += " " + (option.required ? text : "[" + text + "]");
  }
  bool others = false;
  for (const auto& option : command.flags()) {
    if (option.required)
      out += " " + option_text(option);
    else
      others = true;
  }
  return out + (others ? " [flags]" : "");
}

std::string help_text(const Command& command) {
  std::string out = wrapped(command.description, kWidth) + "\n\nUsage:\n  " + usage_text(command) + "\n";
  const auto arguments = command.arguments(), flags = command.flags();
  if (!arguments.empty()) out += "\nArguments:\n";
  for (const auto& argument : arguments) out += row(option_text(argument), option_description(argument));
  for (const auto& group : groups_of(flags)) {
    out += "\n" + (group.empty() ? "Flags" : group) + ":\n";
    for (const auto& flag : flags)
      if (flag.group == group) out += row(option_text(flag), option_description(flag));
  }
  for (const auto& group : groups_of(command.commands)) {
    out += "\n" + (group.empty() ? "Commands" : group) + ":\n";
    for (const auto& each : command.commands)
      if (each.group == group) out += row(each.words.back(), each.description);
  }
  for (const auto& note : command.notes) out += "\n" + wrapped(note, kWidth) + "\n";
  for (const auto& section : command.sections) {
    out += "\n" + section.title + ":\n";
    for (const auto& line : section.lines) {
      // "75   another process ..." goes on under its text; an example is broken by hand.
      const auto gap = line.find("  ");
      if (section.title.starts_with("Example") || gap == std::string::npos) {
        out += "  " + line + "\n";
      } else {
        const auto text = line.find_first_not_of(' ', gap);
        out += "  " + line.substr(0, text) + wrapped(line.substr(text), kWidth, text + 2) + "\n";
      }
    }
  }
  return out;
}

void use_help_text(CLI::App& program) { program.formatter(std::make_shared<HelpFormatter>()); }

}  // namespace mfi
