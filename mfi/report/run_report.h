// Everything that report.html says of a run, as plain values. No LibTorch here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mfi/nn/cost.h"
#include "mfi/pipeline/results.h"
#include "mfi/search/search_results.h"
#include "mfi/train/answers.h"

namespace mfi {

/// One part of teacher and hybrid.
struct PartPair {
  std::string name;                   // "stage1"
  std::string teacher_is, hybrid_is;  // "4 basic blocks, width 16"
  Cost teacher, hybrid;
};

/// Measured milliseconds of each part, for one image.
struct MeasuredLatency {
  std::vector<double> teacher, hybrid;  // a part
  int64_t images = 1;                   // at once
  std::string machine;                  // with its threads
};

/// A step's metrics.csv.
struct StepCurve {
  std::string step, purpose;
  std::vector<Metrics> rows;
  std::string missing;  // why there are none
};

/// A test image that teacher and hybrid answer differently.
struct DisputedPicture {
  int64_t index = 0;  // in the dataset
  int64_t side = 0;   // pixels
  std::string png;    // the file's bytes
};

struct RecipeLine {
  std::string key, value, default_value, meaning;
  bool differs = false;
};

/// A thing that can be missing has the reason beside it, "" when it is there.
struct RunReport {
  RunResults results;
  std::vector<std::string> steps_to_do;  // of the plan, not done yet

  std::vector<PartPair> parts;
  std::string parts_missing;
  std::optional<MeasuredLatency> latency;
  std::string latency_missing;

  std::vector<StepCurve> curves;

  std::optional<SearchResults> search;
  std::string search_missing;

  std::vector<std::string> class_names;
  std::optional<Answers> teacher_answers, hybrid_answers;
  std::string answers_missing;
  std::vector<DisputedPicture> pictures;  // in the order in which they are shown
  std::string pictures_missing;

  std::vector<RecipeLine> recipe;
  std::string recipe_toml, recipe_missing;
};

}  // namespace mfi
