#include <cstdlib>

#include "mfi/cli/commands.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {

std::filesystem::path data_folder(const std::string& given, const std::string& dataset) {
  if (!given.empty()) return given;
  if (dataset == "sample") return {};  // it comes with mfi
  if (const char* folder = std::getenv("MFI_DATA"); folder && *folder) return folder;
  if (dataset == "pictures" || dataset.empty())
    throw NotFoundError("no folder of pictures: give --data DIR (docs/pictures.md)");
  throw NotFoundError("no data folder for " + dataset + ": give --data DIR or set MFI_DATA; 'mfi data get " + dataset +
                      " --into DIR' downloads it");
}

std::string check_words(const CLI::App& program, int argc, const char* const* argv) {
  const CLI::App* command = &program;
  std::string spoken = "mfi";
  int i = 1;
  for (; i < argc; ++i) {
    const std::string word = argv[i];
    const auto subcommands = command->get_subcommands([](const CLI::App*) { return true; });
    if (subcommands.empty() || word.starts_with("-")) break;
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const auto* subcommand : subcommands) {
      names.push_back(subcommand->get_name());
      if (subcommand->get_name() == word) next = subcommand;
    }
    if (!next) {
      const auto nearest = nearest_name(word, names);
      throw UsageError("unknown command '" + word + "'; " +
                       (nearest.empty() ? "'" + spoken + "' has " + join(names, ", ")
                                        : "did you mean '" + spoken + " " + nearest + "'?"));
    }
    command = next;
    spoken += " " + word;
  }

  std::vector<std::string> flags;
  for (const auto* option : command->get_options())
    for (const auto& name : option->get_lnames()) flags.push_back("--" + name);
  for (; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--") break;
    if (word.size() < 2 || word[0] != '-') continue;
    word = word.substr(0, word.find('='));
    if (command->get_option_no_throw(word)) continue;
    // "--no-probe" is a negative name of --probe.
    if (word.starts_with("--no-") && command->get_option_no_throw("--" + word.substr(5))) continue;
    const auto nearest = nearest_name(word, flags);
    throw UsageError("unknown flag " + word + " of '" + spoken + "'; " +
                     (nearest.empty() ? "see '" + spoken + " --help'" : "did you mean " + nearest + "?"));
  }
  return spoken;
}

}  // namespace mfi
