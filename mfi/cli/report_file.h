// report.html of a run.
#pragma once

#include <filesystem>
#include <string>

#include "mfi/data/dataset.h"

namespace mfi {

struct ReportFile {
  std::filesystem::path run;
  std::filesystem::path file = {};  // to write; empty: report.html in the run folder
  bool latency = true;
  const Dataset* test = nullptr;  // the run's test images; nullptr: they are opened by the run's recipe
  std::string data = {};          // folder of the dataset, where they have to be opened, as data_folder takes it
};

/// Writes it and returns where. Without the dataset the page says why it has no pictures.
/// Throws NotFoundError or DataError for a run without results, and what replace_file throws.
std::filesystem::path write_report(const ReportFile& report);

}  // namespace mfi
