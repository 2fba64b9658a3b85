#include "mfi/cli/report_file.h"

#include <ATen/Parallel.h>

#include <optional>

#include "mfi/cli/commands.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/run_lock.h"
#include "mfi/report/gather.h"
#include "mfi/report/report_page.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

// The test images as the run had them, and its threads for what is measured.
Dataset open_as_run(const ReportFile& report) {
  const auto recipe = read_recipe(report.run / "recipe.toml");
  if (recipe.runtime.threads > 0) at::set_num_threads(static_cast<int>(recipe.runtime.threads));
  return open_test_images(recipe, data_folder(report.data, recipe.data.dataset));
}

}  // namespace

fs::path write_report(const ReportFile& report) {
  const auto file = report.file.empty() ? report.run / "report.html" : report.file;
  if (fs::is_directory(file)) throw UsageError("--html " + file.string() + ": expected a file, this is a folder");
  GatherOptions options;
  if (!report.latency) options.no_latency = "it was not asked for (--no-latency)";
  options.test = report.test;
  Dataset opened;
  if (!options.test && fs::exists(report.run / "results.json")) {
    try {
      opened = open_as_run(report);
      options.test = &opened;
    } catch (const Error& error) {
      if (error.exit_code() == ExitCode::interrupted || error.exit_code() == ExitCode::terminated) throw;
      options.no_test = error.what();
    }
  }
  const auto page = report_page(gather_report(report.run, options));
  // Several steps that run on their own may come to an end at once.
  std::optional<RunLock> lock;
  if (report.file.empty()) lock.emplace(report.run, LockOptions{.patience_seconds = 60, .name = ".files.lock"});
  replace_file(file, page);
  return file;
}

}  // namespace mfi
