// mfi version
#include <ATen/Version.h>
#include "mfi/core/torch.h"

#include <iostream>

#include "mfi/cli/commands.h"
#include "mfi/pipeline/machine.h"

namespace mfi {

void add_version_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("version", "Versions of mfi and LibTorch, and what this processor can do");
  command->footer("Example:\n  mfi version");
  command->callback([&action] {
    action = [] {
      std::cout << version_text() << "\n"
                << "compiler:        " << MFI_COMPILER << "\n"
                << "machine:         " << machine_text() << "\n"
                << "LibTorch uses:   " << at::get_cpu_capability() << "\n"
                << "CUDA:            " << (torch::cuda::is_available() ? "yes" : "no") << "\n";
    };
  });
}

}  // namespace mfi
