#include <map>

#include "mfi/cli/completion_scripts.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

std::string path_of(const Command& command) { return join(command.words, " "); }

// Everything in the tables is letters, digits and - . _ = : none of it needs more than quotes.
std::string quoted(const std::string& text) { return "'" + text + "'"; }

// The word by which the script knows what to offer, and the choices themselves.
std::string answer(const CommandOption& option) {
  switch (option.kind) {
    case ValueKind::choice:
      return "choice " + join(option.choices, " ");
    case ValueKind::file:
      return "file";
    case ValueKind::folder:
      return "folder";
    case ValueKind::model:
      return "ending safetensors";
    case ValueKind::recipe:
      return "ending toml";
    case ValueKind::setting:
      return "setting";
    case ValueKind::step:
      return "step";
    case ValueKind::free:
      break;
  }
  return "none";
}

std::string row(const std::string& key, const std::string& value) {
  return "    " + quoted(key) + ") echo " + quoted(value) + " ;;\n";
}

// What each command's arguments and flags are.
std::string values(const Command& root) {
  std::string out;
  for (const auto* command : all_commands(root)) {
    int position = 0;
    for (const auto& option : command->options) {
      if (option.is_argument()) {
        ++position;
        out += row(path_of(*command) + " " + std::to_string(position), answer(option));
        if (option.repeats)
          out += "    " + quoted(path_of(*command) + " ") + "[0-9]*) echo " + quoted(answer(option)) + " ;;\n";
      } else if (!option.is_switch()) {
        for (const auto& flag : option.flags) out += row(path_of(*command) + " " + flag, answer(option));
      }
    }
  }
  return out;
}

constexpr const char* kEngine = R"bash(
# The line up to the cursor in `word`: bash cuts words at "=", mfi does not.
_mfi_read_line() {
  word=()
  local i glue=
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if [[ ${#word[@]} -gt 1 && (${COMP_WORDS[i]} == = || $glue) ]]; then
      word[${#word[@]}-1]+=${COMP_WORDS[i]}
      glue=
      [[ ${COMP_WORDS[i]} == = ]] && glue=1
    else
      word+=("${COMP_WORDS[i]}")
    fi
  done
}

_mfi() {
  local word current command= recipe= value= flag i position=0 prefix= kind replies=
  local IFS=$' \t\n'
  _mfi_read_line
  local last=$((${#word[@]} - 1))
  current=${word[last]}

  for ((i = 1; i < last; i++)); do
    if [[ ${word[i]} == --*=* ]]; then
      continue
    elif [[ ${word[i]} == -?* ]]; then
      value=$(_mfi_value "$command ${word[i]}")
      if [[ $value ]]; then
        if ((i + 1 == last)); then break; fi
        value=
        i=$((i + 1))
      fi
    elif [[ $position == 0 && " $(_mfi_commands "$command") " == *" ${word[i]} "* ]]; then
      command=${command:+$command }${word[i]}
    else
      position=$((position + 1))
      [[ ${word[i]} == *.toml ]] && recipe=${word[i]}
    fi
  done

  COMPREPLY=()
  if [[ ! $value && $current == --*=* ]]; then
    flag=${current%%=*}
    value=$(_mfi_value "$command $flag")
    prefix=$flag=
    current=${current#*=}
  elif [[ ! $value && $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(_mfi_flags "$command")" -- "$current"))
    return
  elif [[ ! $value ]]; then
    replies=$(_mfi_commands "$command")
    if [[ $replies ]]; then
      COMPREPLY=($(compgen -W "$replies" -- "$current"))
      return
    fi
    value=$(_mfi_value "$command $((position + 1))")
  fi

  kind=${value%% *}
  IFS=$'\n'
  case $kind in
    choice) COMPREPLY=($(IFS=' '; compgen -W "${value#choice }" -- "$current")) ;;
    folder)
      compopt -o filenames 2>/dev/null
      COMPREPLY=($(compgen -d -- "$current"))
      ;;
    file)
      compopt -o filenames 2>/dev/null
      COMPREPLY=($(compgen -f -- "$current"))
      ;;
    ending)
      compopt -o filenames 2>/dev/null
      COMPREPLY=($(compgen -f -X "!*.${value#ending }" -- "$current") $(compgen -d -- "$current"))
      ;;
    setting)
      if [[ $current == *=* ]]; then
        COMPREPLY=($(compgen -W "$(_mfi_choices "${current%%=*}")" -- "$current"))
      else
        compopt -o nospace 2>/dev/null
        COMPREPLY=($(compgen -W "$(_mfi_keys)" -- "$current"))
      fi
      ;;
    step)
      [[ $recipe ]] && COMPREPLY=($(compgen -W "$(_mfi_steps "${word[0]}" "$recipe")" -- "$current"))
      ;;
  esac

  # What bash replaces begins behind the last "=".
  local typed=$prefix$current
  if [[ $typed == *=* && $COMP_WORDBREAKS == *=* ]]; then
    typed=${typed%"${typed##*=}"}
    for i in "${!COMPREPLY[@]}"; do
      COMPREPLY[i]=$prefix${COMPREPLY[i]}
      COMPREPLY[i]=${COMPREPLY[i]#"$typed"}
    done
  elif [[ $prefix ]]; then
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=$prefix${COMPREPLY[i]}; done
  fi
}
complete -F _mfi mfi
)bash";

}  // namespace

std::string steps_of_recipe(const std::string& variable) {
  return "plan \"$" + variable + R"sh(" --no-probe --json 2>/dev/null | sed -n 's/^ *"step": "\(.*\)",*$/\1/p')sh";
}

std::string bash_completion(const Command& root, const std::vector<CompletionKey>& keys) {
  std::string commands, flags, paths, choices;
  for (const auto* command : all_commands(root)) {
    std::vector<std::string> names, all{"--help"};
    for (const auto& each : command->commands) names.push_back(each.words.back());
    if (!names.empty()) commands += row(path_of(*command), join(names, " "));
    for (const auto& flag : command->flags()) all.insert(all.end(), flag.flags.begin(), flag.flags.end());
    flags += row(path_of(*command), join(all, " "));
  }
  for (const auto& key : keys) {
    paths += (paths.empty() ? "" : "\n") + key.path + "=";
    std::vector<std::string> all;
    for (const auto& choice : key.choices) all.push_back(key.path + "=" + choice);
    if (!all.empty()) choices += "    " + quoted(key.path) + ") echo " + quoted(join(all, "\n")) + " ;;\n";
  }
  const auto function = [](const std::string& name, const std::string& rows) {
    return "\n" + name + "() {\n  case $1 in\n" + rows + "  esac\n}\n";
  };
  return "# bash completion of mfi; 'mfi completion bash' writes it.\n" + function("_mfi_commands", commands) +
         function("_mfi_flags", flags) + function("_mfi_value", values(root)) + function("_mfi_choices", choices) +
         "\n_mfi_keys() {\n  echo '" + paths + "'\n}\n\n_mfi_steps() {\n  local recipe=$2\n  \"$1\" " +
         steps_of_recipe("recipe") + "\n}\n" + kEngine;
}

}  // namespace mfi
