// The machine that a run computes on: how it is described, and how it is set up.
#pragma once

#include <cstdint>
#include <string>

#include "mfi/train/settings.h"

namespace mfi {

/// "AMD EPYC 9R14, 2 threads, AVX512 AVX512-BF16": processor, compute threads and the vector
/// instructions that decide how fast a run goes.
std::string machine_text();

/// "mfi 0.1.0, LibTorch 2.11.0".
std::string version_text();

/// Both, the device and the number of processes: what moves a result by rounding, and so where a run has to go on to
/// end with the same bytes.
std::string environment_text(const RuntimeSettings& runtime, int64_t processes);

/// Sets the number of compute threads. Call it before anything is computed: the order in which
/// threads add numbers up is part of what makes two runs equal. repeatable: only operations that give the same bytes
/// each time, where a GPU has others too.
/// Throws RecipeError when the device is not there.
void apply_runtime(const RuntimeSettings& runtime, bool repeatable = false);

}  // namespace mfi
