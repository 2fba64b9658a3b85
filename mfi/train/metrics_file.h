// A step's metrics as metrics.csv.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mfi/train/observer.h"

namespace mfi {

/// One line of names, one line a row; a name that only some rows have is empty in the others.
/// Replaces the file in one move.
void write_metrics_csv(const std::filesystem::path& file, const std::vector<Metrics>& rows);

/// The rows of such a file, without the cells that are empty. Throws NotFoundError, or DataError naming file and line.
std::vector<Metrics> read_metrics_csv(const std::filesystem::path& file);

/// The rows as text for a checkpoint, and back, exact to the bit.
std::string metrics_to_json(const std::vector<Metrics>& rows);
std::vector<Metrics> metrics_from_json(const std::string& text);

}  // namespace mfi
