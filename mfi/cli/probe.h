// A few training steps, to tell how long and how much memory a plan needs.
#pragma once

#include <map>
#include <string>

#include "mfi/pipeline/plan.h"

namespace mfi {

struct StepEstimate {
  double seconds = -1;       // of the whole step's training; negative when not known
  double memory_bytes = -1;  // of the process at most, without the dataset; negative when not known
};

/// Trains each step's network for a few batches of random images, of 8 and of the step's size or as many as take two
/// seconds, and scales up; steps that cost the same are measured once. After about `budget_seconds` the rest is
/// estimated from the arithmetic of those measured. The result has one entry a step, by name.
std::map<std::string, StepEstimate> probe_plan(const Plan& plan, const Recipe& recipe, double budget_seconds = 12);

}  // namespace mfi
