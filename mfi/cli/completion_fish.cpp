#include "mfi/cli/completion_scripts.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// What `complete` offers for a value: its arguments behind the flag.
std::string offers(const CommandOption& option) {
  switch (option.kind) {
    case ValueKind::choice:
      return " -xa " + quoted(join(option.choices, " "));
    case ValueKind::file:
      return " -rF";
    case ValueKind::folder:
      return " -xa '(__fish_complete_directories)'";
    case ValueKind::model:
      return " -kxa '(__fish_complete_suffix .safetensors)'";
    case ValueKind::recipe:
      return " -kxa '(__fish_complete_suffix .toml)'";
    case ValueKind::setting:
      return " -xa '(__mfi_settings)'";
    case ValueKind::step:
      return " -xa '(__mfi_steps)'";
    case ValueKind::free:
      break;
  }
  return " -x";
}

std::string line(const Command& command, const std::string& rest) {
  return "complete -c mfi -n " + quoted("__mfi_is '" + join(command.words, " ") + "'") + rest + "\n";
}

std::string argument_line(const Command& command, const CommandOption& option, int position) {
  const auto condition =
      "__mfi_is '" + join(command.words, " ") + "' " + std::to_string(position) + (option.repeats ? " more" : "");
  auto values = offers(option);
  if (values == " -x") return "";
  if (values == " -rF") values = " -F";
  // -x wants a flag that takes a value.
  if (const auto at = values.find("xa "); at != std::string::npos) values.replace(at, 2, "fa");
  return "complete -c mfi -n " + quoted(condition) + values + "\n";
}

constexpr const char* kEngine = R"fish(
# The commands and the number of arguments before the cursor: "data get", 1.
function __mfi_line
    set -l words (commandline -opc)
    set -e words[1]
    set -l path ''
    set -l count 0
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
        else if string match -q -- '--*=*' $word
            continue
        else if string match -q -- '-?*' $word
            contains -- "$path $word" $__mfi_values; and set skip 1
        else if test $count = 0; and contains -- (string trim -- "$path $word") $__mfi_commands
            set path (string trim -- "$path $word")
        else
            set count (math $count + 1)
        end
    end
    echo $path
    echo $count
end

# Whether the line is at this command, and, where a number is given, at this argument of it.
function __mfi_is
    set -l at (__mfi_line)
    test "$at[1]" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    test (math $at[2] + 1) = $argv[2]; and return 0
    set -q argv[3]; and test (math $at[2] + 1) -gt $argv[2]
end
)fish";

}  // namespace

std::string fish_completion(const Command& root, const std::vector<CompletionKey>& keys) {
  std::string commands, values, lines;
  for (const auto* command : all_commands(root)) {
    const auto path = join(command->words, " ");
    if (!path.empty()) commands += " " + quoted(path);
    for (const auto& each : command->commands)
      lines += line(*command, " -fa " + quoted(each.words.back()) + " -d " + quoted(each.description));
    lines += line(*command, " -l help -d 'Print the help and end'");
    int position = 0;
    for (const auto& option : command->options) {
      if (option.is_argument()) {
        lines += argument_line(*command, option, ++position);
        continue;
      }
      for (const auto& flag : option.flags) {
        const auto name = flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
        if (!option.is_switch()) values += " " + quoted(path + " " + flag);
        lines +=
            line(*command, name + (option.is_switch() ? "" : offers(option)) + " -d " + quoted(option.description));
      }
    }
  }
  std::string settings = "\nfunction __mfi_settings\n    printf '%s\\t%s\\n'";
  for (const auto& key : keys) {
    if (key.choices.empty()) settings += " \\\n        " + quoted(key.path + "=") + " " + quoted(key.meaning);
    for (const auto& choice : key.choices)
      settings += " \\\n        " + quoted(key.path + "=" + choice) + " " + quoted(key.meaning);
  }
  settings += "\nend\n";
  const std::string steps =
      "\nfunction __mfi_steps\n    set -l recipe (string match -- '*.toml' (commandline -opc))[1]\n"
      "    test -n \"$recipe\"; and mfi " +
      steps_of_recipe("recipe") + "\nend\n";
  return "# fish completion of mfi; 'mfi completion fish' writes it.\n\nset -g __mfi_commands" + commands +
         "\nset -g __mfi_values" + values + "\n" + kEngine + settings + steps + "\ncomplete -c mfi -f\n" + lines;
}

}  // namespace mfi
