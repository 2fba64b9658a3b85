// A step's metrics as files: metrics.csv, JSON lines, TensorBoard.
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

/// One JSON object a row, with the row's names in their order; whole numbers without a point, numbers
/// that are not finite as null. Replaces the file in one move.
void write_metrics_jsonl(const std::filesystem::path& file, const std::vector<Metrics>& rows);

/// The rows as a TensorBoard event file (tensorboard_events). TensorBoard only looks at files with "tfevents" in their
/// name.
///
/// wall_times: of each row, in seconds since 1970; kept by the caller, so that a training that goes on after some rows
/// gives the same times for them again. Then what is new is appended, also after an append that was cut off; else, as
/// after a training that starts anew, the file is replaced in one move. A TensorBoard that has the file open notices an
/// append only.
void write_tensorboard(const std::filesystem::path& file, const std::vector<Metrics>& rows,
                       const std::vector<double>& wall_times);

/// The rows as text for a checkpoint, and back, exact to the bit.
std::string metrics_to_json(const std::vector<Metrics>& rows);
std::vector<Metrics> metrics_from_json(const std::string& text);

}  // namespace mfi
