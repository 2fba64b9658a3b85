// What is said of numbers that are not finite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "mfi/core/error.h"
#include "mfi/data/loader.h"

namespace mfi {

/// A loss, a gradient or a statistic is not finite: what a training may go back from.
class NotFiniteError : public DivergedError {
 public:
  using DivergedError::DivergedError;
};

/// The images of a batch by their place in the training set, in words, eight at most: those that are not finite
/// themselves, where there are any.
std::string images_text(const Batch& batch);

struct NotFinite {
  std::string step, what;
  int64_t epoch = 0, batch = 0;  // from 1
  double learning_rate = 0;
};

/// The same as JSON, with all images of the batch. Replaces the file in one move.
void write_nonfinite(const std::filesystem::path& file, const NotFinite& found, const Batch& batch);

}  // namespace mfi
