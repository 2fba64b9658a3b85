// What a step's network answered at its one look at the test images, as a file.
#pragma once

#include <filesystem>

#include "mfi/train/answers.h"

namespace mfi {

/// Its name in a step's folder.
constexpr const char* kPredictionsFile = "predictions.safetensors";

/// A safetensors file: `class` int64 [N], `probability` float32 [N], `label` int64 [N]. Replaces it in one move.
void write_predictions(const std::filesystem::path& file, const Answers& answers);

/// Throws NotFoundError, or CheckpointError for a file that is damaged or holds something else.
Answers read_predictions(const std::filesystem::path& file);

}  // namespace mfi
