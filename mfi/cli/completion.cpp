// mfi completion, mfi man
#include <filesystem>
#include <iostream>
#include <memory>

#include "mfi/cli/command_table.h"
#include "mfi/cli/commands.h"
#include "mfi/cli/completion_scripts.h"
#include "mfi/cli/man_page.h"
#include "mfi/cli/table_json.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/pipeline/recipe_table.h"

namespace mfi {
namespace {

std::vector<CompletionKey> completion_keys() {
  std::vector<CompletionKey> out;
  for (const auto& entry : recipe_entries()) {
    auto choices = entry.choices;
    if (std::holds_alternative<bool>(entry.default_value)) choices = {"true", "false"};
    out.push_back({entry.key.path, entry.key.meaning, choices});
  }
  return out;
}

std::string script(const Command& root, const std::string& shell) {
  if (shell == "bash") return bash_completion(root, completion_keys());
  if (shell == "zsh") return zsh_completion(root, completion_keys());
  if (shell == "fish") return fish_completion(root, completion_keys());
  return table_json(root, completion_keys());
}

const Command& find_command(const Command& root, const std::vector<std::string>& words) {
  const Command* at = &root;
  for (const auto& word : words) {
    const auto* next = at->find(word);
    if (!next) {
      std::vector<std::string> names;
      for (const auto& each : at->commands) names.push_back(each.words.back());
      const auto nearest = nearest_name(word, names);
      throw UsageError("no manual page of '" + at->spoken() + " " + word + "'; " +
                       (!nearest.empty() ? "did you mean " + nearest + "?"
                        : names.empty()  ? "it has no commands of its own"
                                         : "there are pages of " + join(names, ", ")));
    }
    at = next;
  }
  return *at;
}

void write_man_pages(const Command& root, const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw CannotWriteError(folder.string() + ": cannot be made: " + error.message());
  for (const auto* command : all_commands(root))
    replace_file(folder / man_page_file(*command), man_page(root, *command, MFI_VERSION));
}

}  // namespace

void add_completion_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("completion", "Print what lets a shell complete mfi's commands and flags");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish; json: the table of all commands and recipe keys as data")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish", "json"}));
  command->footer(
      "The packages and 'make install' put the scripts where shells look for them. By hand, for one shell or for "
      "good:\n\n"
      "Examples:\n"
      "  mfi completion bash > ~/.local/share/bash-completion/completions/mfi\n"
      "  mfi completion zsh > ~/.zfunc/_mfi    # a folder of fpath, before compinit\n"
      "  mfi completion fish > ~/.config/fish/completions/mfi.fish\n"
      "  source <(mfi completion bash)");
  command->callback(
      [=, &program, &action] { action = [=, &program] { std::cout << script(command_table(program), *shell); }; });
}

void add_man_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("man", "Print a manual page");
  auto words = std::make_shared<std::vector<std::string>>();
  auto folder = std::make_shared<std::string>();
  auto* name = command->add_option("COMMAND", *words, "The command, as run or data get; default: mfi itself");
  command->add_option("--into", *folder, "Write the pages of all commands into this folder instead")
      ->type_name("DIR")
      ->excludes(name);
  command->footer(
      "The packages and 'make install' put the pages where man(1) looks for them: 'man mfi-run'.\n\n"
      "Examples:\n"
      "  mfi man run | man -l -\n"
      "  mfi man --into ~/.local/share/man/man1");
  command->callback([=, &program, &action] {
    action = [=, &program] {
      const auto root = command_table(program);
      if (folder->empty())
        std::cout << man_page(root, find_command(root, *words), MFI_VERSION);
      else
        write_man_pages(root, *folder);
    };
  });
}

}  // namespace mfi
