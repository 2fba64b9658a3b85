// Completion for shells, written from the same table as --help.
//
// A script holds the whole table, so that a key press starts no program; only the steps of a recipe, which no table can
// hold, are asked of 'mfi plan'.
#pragma once

#include <string>
#include <vector>

#include "mfi/cli/command_table.h"

namespace mfi {

/// What may stand before and behind the = of --set.
struct CompletionKey {
  std::string path;                  // "runtime.precision"
  std::string meaning;               // one line
  std::vector<std::string> choices;  // empty: not a fixed set
};

/// For `source FILE`, or /usr/share/bash-completion/completions/mfi. Needs bash 4 and no other package.
std::string bash_completion(const Command& root, const std::vector<CompletionKey>& keys);

/// For a folder of fpath, as _mfi.
std::string zsh_completion(const Command& root, const std::vector<CompletionKey>& keys);

/// For /usr/share/fish/vendor_completions.d/mfi.fish.
std::string fish_completion(const Command& root, const std::vector<CompletionKey>& keys);

/// Names of steps, of the recipe whose file the shell has in `$variable`; for all three shells.
std::string steps_of_recipe(const std::string& variable);

}  // namespace mfi
