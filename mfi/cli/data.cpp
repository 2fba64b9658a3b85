// mfi data
#include <unistd.h>

#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/download.h"

namespace mfi {
namespace {

void list() {
  std::cout << "sample     10 classes, 500 training and 100 test images a class; comes with mfi\n"
               "cifar-10   10 classes, 50,000 training and 10,000 test images; 'mfi data get cifar-10 --into DIR'\n"
               "cifar-100  100 classes, 50,000 training and 10,000 test images; 'mfi data get cifar-100 --into DIR'\n";
}

void get(const std::string& dataset, const std::string& folder) {
  install_stop_handlers();
  const bool live = isatty(STDERR_FILENO);
  const auto archive = download_dataset(dataset, folder, [&](uint64_t done, uint64_t total) {
    if (live)
      std::cerr << "\r" << bytes_text(static_cast<double>(done)) << " of " << bytes_text(static_cast<double>(total))
                << "\x1b[K" << std::flush;
  });
  if (live) std::cerr << "\r\x1b[K";
  std::cout << archive.string() << "\n";
}

}  // namespace

void add_data_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("data", "Datasets: what there is, and how to get it");
  command->require_subcommand(1);
  command->footer("Example:\n  mfi data get cifar-10 --into ~/data");

  auto* get_command = command->add_subcommand("get", "Download a dataset's official archive and check it");
  auto dataset = std::make_shared<std::string>();
  auto folder = std::make_shared<std::string>();
  get_command->add_option("DATASET", *dataset, "cifar-10 or cifar-100")
      ->required()
      ->check(CLI::IsMember({"cifar-10", "cifar-100"}));
  get_command->add_option("--into", *folder, "Folder to put it in")->required()->type_name("DIR");
  get_command->footer(
      "An interrupted download goes on where it stopped. The archive is read in place.\n\n"
      "Example:\n  mfi data get cifar-10 --into ~/data" +
      exit_codes_section({ExitCode::bad_data, ExitCode::io, ExitCode::busy, ExitCode::interrupted}) +
      environment_section({"MFI_DATA_URL"}));
  get_command->callback([=, &action] { action = [=] { get(*dataset, *folder); }; });

  auto* list_command = command->add_subcommand("list", "The datasets that recipes can name");
  list_command->footer("Example:\n  mfi data list");
  list_command->callback([&action] { action = list; });
}

}  // namespace mfi
