#include "mfi/cli/man_page.h"

#include <algorithm>
#include <cctype>

#include "mfi/cli/help_facts.h"
#include "mfi/cli/help_text.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

// As it is, letter for letter: no sign of it may be a command to roff, or become a typographic one.
std::string literal(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '^':
        out += "\\(ha";
        break;
      default:
        out += c;
    }
  }
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string bold(const std::string& text) { return "\\fB" + literal(text) + "\\fR"; }

std::string page_name(const Command& command) {
  std::string out = "mfi";
  for (const auto& word : command.words) out += "-" + word;
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

std::string section(const std::string& title) { return ".SH " + upper(title) + "\n"; }

// A tagged paragraph.
std::string item(const std::string& tag, const std::string& text) {
  return ".TP\n" + tag + "\n" + literal(text) + "\n";
}

std::string option_items(const std::vector<CommandOption>& options, const std::string& group) {
  std::string out;
  for (const auto& option : options) {
    if (option.group != group) continue;
    const auto text = option_text(option);
    // The flags stand out from their value.
    const auto flags = join(option.flags, ", ");
    out +=
        item(option.is_argument() ? "\\fI" + literal(text) + "\\fR" : bold(flags) + literal(text.substr(flags.size())),
             option_description(option));
  }
  return out;
}

std::vector<std::string> groups_of(const std::vector<CommandOption>& options) {
  std::vector<std::string> out{""};
  for (const auto& option : options)
    if (std::find(out.begin(), out.end(), option.group) == out.end()) out.push_back(option.group);
  return out;
}

std::string options_section(const Command& command) {
  std::string out;
  if (const auto arguments = command.arguments(); !arguments.empty())
    out += section("Arguments") + option_items(arguments, "");
  const auto flags = command.flags();
  if (!flags.empty()) out += section("Options");
  for (const auto& group : groups_of(flags)) {
    if (!group.empty()) out += ".SS " + literal(group) + "\n";
    out += option_items(flags, group);
  }
  return out;
}

// Two columns, as help has them: "75   another process ...".
std::string pairs(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) {
    const auto gap = line.find("  ");
    const auto text = gap == std::string::npos ? gap : line.find_first_not_of(' ', gap);
    out += text == std::string::npos ? literal(line) + "\n" : item(bold(line.substr(0, gap)), line.substr(text));
  }
  return out;
}

std::string exit_status(const Command& command) {
  auto out = section("Exit status");
  if (command.words.empty()) {
    for (const auto& fact : exit_code_facts())
      out += item(bold(std::to_string(static_cast<int>(fact.code))), std::string(fact.name) + ": " + fact.meaning);
    return out + ".PP\n" + bold("mfi explain") + " \\fICODE\\fR says what to do about one.\n";
  }
  if (const auto* codes = command.section("Exit codes"))
    return out + item(bold("0"), "everything was done") + pairs(codes->lines) + ".PP\nAll codes are in\n.BR mfi (1).\n";
  return out + "0 when everything was done, else one of the codes in\n.BR mfi (1).\n";
}

std::string see_also(const Command& root, const Command& command) {
  std::vector<std::string> names;
  if (!command.words.empty()) names.push_back("mfi");
  for (const auto* each : all_commands(root)) {
    const bool parent = each->words.size() < command.words.size() && !each->words.empty() &&
                        std::equal(each->words.begin(), each->words.end(), command.words.begin());
    const bool child = each->words.size() == command.words.size() + 1 &&
                       std::equal(command.words.begin(), command.words.end(), each->words.begin());
    if (parent || child) names.push_back(page_name(*each));
  }
  if (names.empty()) return "";
  auto out = section("See also");
  for (size_t i = 0; i < names.size(); ++i)
    out += ".BR " + literal(names[i]) + " (1)" + (i + 1 < names.size() ? "," : "") + "\n";
  return out;
}

}  // namespace

std::string man_page_file(const Command& command) { return page_name(command) + ".1"; }

std::string man_page(const Command& root, const Command& command, const std::string& version) {
  const auto name = page_name(command);
  // No date: the same program writes the same bytes.
  std::string out = ".TH " + upper(literal(name)) + " 1 \"\" \"mfi " + version + "\" \"mfi\"\n";
  out += section("Name") + literal(name) + " \\- " + literal(command.description) + "\n";
  out += section("Synopsis") + bold(command.spoken()) + literal(usage_text(command).substr(command.spoken().size())) +
         "\n";
  out += section("Description") + literal(command.description) + ".\n";
  for (const auto& note : command.notes) out += ".PP\n" + literal(note) + "\n";
  if (!command.commands.empty()) {
    out += section("Commands");
    for (const auto& each : command.commands)
      out += item(bold(each.words.back()), each.description + " (" + page_name(each) + ")");
  }
  out += options_section(command);
  out += exit_status(command);
  for (const auto& each : command.sections) {
    if (each.title.starts_with("Exit codes")) continue;
    out += section(each.title);
    if (!each.title.starts_with("Example")) {
      out += pairs(each.lines);
      continue;
    }
    out += ".nf\n";
    for (const auto& line : each.lines) out += literal(line) + "\n";
    out += ".fi\n";
  }
  return out + see_also(root, command);
}

}  // namespace mfi
