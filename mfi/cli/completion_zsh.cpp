#include "mfi/cli/completion_scripts.h"
#include "mfi/cli/shell_word.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

std::string function_of(const Command& command) {
  std::string out = "_mfi";
  for (const auto& word : command.words) out += "_" + word;
  return out;
}

// In [...] of _arguments, and between its colons.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string action(const CommandOption& option) {
  switch (option.kind) {
    case ValueKind::choice:
      return "(" + join(option.choices, " ") + ")";
    case ValueKind::file:
      return "_files";
    case ValueKind::folder:
      return "_files -/";
    case ValueKind::model:
      return "_files -g \"*.safetensors\"";
    case ValueKind::recipe:
      return "_files -g \"*.toml\"";
    case ValueKind::setting:
      return "_mfi_settings";
    case ValueKind::step:
      return "_mfi_steps";
    case ValueKind::free:
      break;
  }
  return " ";
}

std::string specification(const CommandOption& option) {
  const auto message = escaped(option.value) + ":" + action(option);
  if (option.is_argument()) return single_quoted((option.repeats ? "*:" : (option.required ? ":" : "::")) + message);
  std::vector<std::string> out;
  for (const auto& flag : option.flags) {
    std::string others;  // that do not go with it
    if (!option.repeats) others = "(" + join(option.flags, " ") + ")";
    const auto description = "[" + escaped(option.description) + "]";
    out.push_back(single_quoted(option.repeats       ? "*" + flag + "=" + description + ":" + message
                                : option.is_switch() ? others + flag + description
                                                     : others + flag + "=" + description + ":" + message));
  }
  return join(out, " \\\n    ");
}

std::string leaf(const Command& command) {
  auto out = "\n" + function_of(command) + "() {\n  _arguments -S '(- *)--help[Print the help and end]'";
  for (const auto& option : command.options) out += " \\\n    " + specification(option);
  return out + "\n}\n";
}

std::string branch(const Command& command) {
  auto out = "\n" + function_of(command) + "() {\n  local curcontext=$curcontext state line\n" +
             "  typeset -A opt_args\n  _arguments -C '(- *)--help[Print the help and end]'";
  for (const auto& option : command.options) out += " \\\n    " + specification(option);
  out += " \\\n    '1: :->command' '*:: :->rest'\n  case $state in\n    command)\n      local -a commands=(\n";
  for (const auto& each : command.commands)
    out += "        " + single_quoted(each.words.back() + ":" + escaped(each.description)) + "\n";
  out += "      )\n      _describe command commands ;;\n    rest)\n      case $words[1] in\n";
  for (const auto& each : command.commands) out += "        " + each.words.back() + ") " + function_of(each) + " ;;\n";
  return out + "      esac ;;\n  esac\n}\n";
}

}  // namespace

std::string zsh_completion(const Command& root, const std::vector<CompletionKey>& keys) {
  std::string out = "#compdef mfi\n# zsh completion of mfi; 'mfi completion zsh' writes it.\n";
  out += "\n_mfi_settings() {\n  if compset -P 1 '*='; then\n    case ${IPREFIX##*[=[:space:]]}${IPREFIX} in\n";
  for (const auto& key : keys)
    if (!key.choices.empty())
      out += "      *" + key.path + "=) _values " + single_quoted(key.path) + " " + join(key.choices, " ") + " ;;\n";
  out += "    esac\n  else\n    local -a keys=(\n";
  for (const auto& key : keys) out += "      " + single_quoted(key.path + ":" + escaped(key.meaning)) + "\n";
  out += "    )\n    _describe key keys -S '='\n  fi\n}\n";
  out +=
      "\n_mfi_steps() {\n  local recipe=${words[(r)*.toml]}\n  [[ -n $recipe ]] || return 1\n"
      "  local -a steps=(${(f)\"$(mfi " +
      steps_of_recipe("recipe") + ")\"})\n  compadd -a steps\n}\n";
  for (const auto* command : all_commands(root)) out += command->commands.empty() ? leaf(*command) : branch(*command);
  return out + "\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n  _mfi \"$@\"\nelse\n  compdef _mfi mfi\nfi\n";
}

}  // namespace mfi
