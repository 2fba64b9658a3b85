// The program: reads the command line, runs one command, turns every error into one message.
#include <c10/util/Exception.h>
#include <malloc.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <limits>
#include <new>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/help_text.h"
#include "mfi/core/error.h"
#include "mfi/pipeline/machine.h"

namespace mfi {
namespace {

constexpr const char* kOutOfMemory =
    "out of memory; a smaller batch_size in the recipe needs less ('mfi plan' estimates how much)";

// glibc hands buffers of more than 128 KiB back to the kernel as soon as they are free, and the page
// faults of getting them again cost 5 to 20 % of a training step.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

// What belongs together stands together in --help, in the order of the commands above.
void group_commands(CLI::App& program) {
  const std::vector<std::pair<const char*, std::vector<const char*>>> groups{
      {"Make a smaller network", {"run", "search", "plan", "report", "watch"}},
      {"Judge it and use it", {"eval", "predict", "export", "verify"}},
      {"Networks and data from elsewhere", {"import", "data", "inspect"}},
      {"The program itself", {"bench", "version", "explain", "completion", "man"}}};
  for (const auto& [title, names] : groups)
    for (const char* name : names)
      for (auto* command : program.get_subcommands([&](const CLI::App* app) { return app->get_name() == name; }))
        command->group(title);
}

std::string program_footer() {
  return "'mfi COMMAND --help' shows a command's flags and an example; 'man mfi-run' says the same. Progress and "
         "errors go "
         "to standard error, results to standard output. A command that fails writes one message and ends with an exit "
         "code: 'mfi explain' lists them, 'mfi explain CODE' says what to do, and docs/errors.md has them all.\n\n"
         "Examples:\n"
         "  mfi plan recipes/sample.toml\n"
         "  mfi run recipes/sample.toml" +
         environment_section({"MFI_DATA", "MFI_SAMPLE", "MFI_DATA_URL", "OMP_NUM_THREADS", "XDG_CACHE_HOME", "TERM"});
}

int command_line(int argc, char** argv) {
  CLI::App program("Makes a trained image classifier smaller: MeanFlow compression of ResNets.", "mfi");
  program.set_version_flag("--version", version_text(), "Print the versions of mfi and LibTorch");
  program.require_subcommand(1);
  use_help_text(program);
  program.footer(program_footer());
  Action action;
  add_run_command(program, action);
  add_search_command(program, action);
  add_watch_command(program, action);
  add_plan_command(program, action);
  add_eval_command(program, action);
  add_predict_command(program, action);
  add_import_command(program, action);
  add_export_command(program, action);
  add_verify_command(program, action);
  add_inspect_command(program, action);
  add_report_command(program, action);
  add_data_command(program, action);
  add_bench_command(program, action);
  add_version_command(program, action);
  add_explain_command(program, action);
  add_completion_command(program, action);
  add_man_command(program, action);
  group_commands(program);

  if (argc < 2) {
    std::cerr << program.help();
    return static_cast<int>(ExitCode::usage);
  }
  const auto command = check_words(program, argc, argv);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error, std::cout, std::cerr);  // --help, --version
    throw UsageError(std::string(error.what()) + "; see '" + command + " --help'");
  }
  action();
  if (!std::cout.flush()) throw IoError("standard output could not be written");
  return 0;
}

int fail(ExitCode code, const std::string& message) {
  std::cout.flush();
  std::cerr << "mfi: " << message << std::endl;
  return static_cast<int>(code);
}

}  // namespace
}  // namespace mfi

int main(int argc, char** argv) {
  using mfi::ExitCode;
  mfi::keep_freed_memory();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away ends no training; what cannot be written then is said
  try {
    return mfi::command_line(argc, argv);
  } catch (const mfi::PeerError& error) {
    std::_Exit(mfi::fail(error.exit_code(), error.what()));  // without the tear-down, which may wait for ever
  } catch (const mfi::Error& error) {
    return mfi::fail(error.exit_code(), error.what());
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    if (message.find("allocate memory") != std::string::npos) return mfi::fail(ExitCode::internal, mfi::kOutOfMemory);
    return mfi::fail(ExitCode::internal, message);
  } catch (const std::filesystem::filesystem_error& error) {
    return mfi::fail(ExitCode::not_found, error.path1().string() + ": cannot be looked at: " + error.code().message());
  } catch (const std::bad_alloc&) {
    return mfi::fail(ExitCode::internal, mfi::kOutOfMemory);
  } catch (const std::exception& error) {
    return mfi::fail(ExitCode::internal, error.what());
  }
}
