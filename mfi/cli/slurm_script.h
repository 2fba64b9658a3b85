// A recipe's steps as jobs for Slurm.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "mfi/cli/probe.h"
#include "mfi/pipeline/plan.h"

namespace mfi {

struct SlurmSettings {
  std::filesystem::path program, recipe, out, data;  // absolute; data is empty for the sample
  std::filesystem::path unlabelled;                  // absolute, or empty
  std::vector<std::string> settings;                 // of the command line: SECTION.KEY=VALUE
  std::vector<std::string> sbatch;                   // further arguments of every sbatch
  int64_t threads = 1;                               // compute threads of a step, and its processors
};

/// A shell script that submits one job a step, each depending on the jobs of its inputs alone, and a
/// last one that prints the results. Each job runs `mfi run --only STEP`.
///
/// A job may take twice the estimated time and ten minutes; a quarter more than the estimated memory,
/// twice the dataset and 512 MiB. Where there is no estimate the cluster's own limits hold.
std::string slurm_script(const Recipe& recipe, const Plan& plan, const std::map<std::string, StepEstimate>& estimates,
                         const SlurmSettings& settings);

}  // namespace mfi
