// Small files in a run folder by which others see how far a run is: `mfi watch`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mfi/train/observer.h"

namespace mfi {

/// Who wrote a file, and when by every clock that there is. Between machines no clock can be trusted; on one, the time
/// since it was started can, whatever is done to its calendar.
struct Signature {
  std::string host;
  int64_t process = 0;
  std::string boot;      // of that machine: the kernel's id; "" where it has none
  double uptime = 0;     // seconds since then
  double unix_time = 0;  // seconds since 1970, by the writer's clock

  /// Of this process, now.
  static Signature now();
  /// "process 4711 on node12", as lock files have it.
  std::string owner() const;
};

/// <RUN>/<step>/progress.json, of the process that runs the step.
struct StepProgressFile {
  Progress progress;
  std::vector<std::string> remaining;  // steps that the process is probably still to run, this one first
  bool ended = false;                  // the process stopped or failed before the step was done
  Signature by;
};

/// <RUN>/progress.json, of a process that has steps run by others (--jobs).
struct RunProgressFile {
  int64_t jobs = 1;
  std::vector<std::string> remaining;         // steps that are probably still to be run
  std::map<std::string, std::string> failed;  // and the message of each
  Signature by;
};

std::filesystem::path progress_file(const std::filesystem::path& folder);

/// By a temporary file and a rename, not flushed to the device. A failure is ignored: no run ends for want of a file
/// that nothing depends on.
void write_progress_file(const std::filesystem::path& folder, const StepProgressFile& content) noexcept;
void write_progress_file(const std::filesystem::path& folder, const RunProgressFile& content) noexcept;
void remove_progress_file(const std::filesystem::path& folder) noexcept;

/// Nothing where there is none, or where it is not what it should be.
std::optional<StepProgressFile> read_step_progress(const std::filesystem::path& folder);
std::optional<RunProgressFile> read_run_progress(const std::filesystem::path& folder);

}  // namespace mfi
