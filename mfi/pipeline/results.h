// What a run reached: the table at its end, as data.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mfi/train/observer.h"

namespace mfi {

/// One finished step.
struct StepResult {
  std::string step;  // "hybrid"
  std::string purpose;
  std::string network;  // "resnet34-w16", "hybrid of resnet34-w16"
  bool control = false;
  bool shown = true;  // stands in the table
  int64_t epochs = 0;
  int64_t threads = 0;  // compute threads: they move a result by rounding; 0: not recorded
  int64_t parameters = 0;
  int64_t macs = 0;              // one image, 1 MAC = 2 FLOP
  double test_top1_percent = 0;  // float32, read once, at the step's end
  double test_loss = 0;
  double seconds = 0;           // training, without the final test
  double seconds_per_step = 0;  // median
  Metrics details;              // a mapping's endpoint errors and swap-in accuracies, on test images
  std::string fingerprint;      // of inputs and settings
  std::string model_sha256;
};

struct RunResults {
  std::string run;  // the recipe's name
  std::string dataset;
  int64_t training_images = 0, test_images = 0;
  std::string machine;  // processor, cores in use, vector instructions
  std::string version;  // of mfi and LibTorch
  std::string precision;
  std::string data_fingerprint;        // of the images and labels; "": not recorded
  int64_t unlabelled_pictures = 0;     // that mapping and distillation saw beside them
  std::string unlabelled_fingerprint;  // of these; "": there were none
  std::vector<StepResult> steps;

  /// The step of that name, or nullptr.
  const StepResult* find(const std::string& step) const;
};

/// Writes `file` and, for what the clock said (seconds), timing.json beside it: so the former is the same in every run.
void write_results(const std::filesystem::path& file, const RunResults& results);
/// Throws NotFoundError or DataError naming the file. Without its timing.json all times are 0.
RunResults read_results(const std::filesystem::path& file);

/// One step's record, in its own folder; timing.json as above, and before it: the record says that a step is done.
void write_step_result(const std::filesystem::path& file, const StepResult& result);
StepResult read_step_result(const std::filesystem::path& file);

}  // namespace mfi
