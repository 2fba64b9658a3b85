// What a search has found, in its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mfi {

/// One candidate of a stage, by itself.
struct CandidateResult {
  std::string name;
  int64_t parameters = 0, macs = 0;
  double milliseconds = 0;  // of the stage, for one image, folded, float32
  double divergence = 0;    // of the teacher with it, nats
};

/// A whole network.
struct SearchPoint {
  std::string name;                 // "point-3"; "teacher"
  std::vector<std::string> stages;  // its candidates' names
  int64_t parameters = 0, macs = 0;
  double milliseconds = 0;      // measured of the whole network
  double divergence = 0;        // expected, by single candidates and pairs; nats
  double measured = -1;         // divergence of the whole network, as mapped; nats; below 0: not known
  double held_out_percent = 0;  // after the short fine-tuning
  double seconds = -1;          // that its training took; below 0: not known
  bool on_front = false;        // none that costs no more is as good
  bool chosen = false;          // the best within the target
};

struct SearchResults {
  std::string run, dataset, machine, version;
  std::string target;    // "params=0.3 macs=0.5"; "": none
  double max_drop = -1;  // points; below 0: not given
  int64_t held_out_images = 0, scored_images = 0;
  int64_t tuned_epochs = 0, tuned_images = 0;
  double mapping_seconds = -1, scoring_seconds = -1;     // below 0: not known
  double teacher_held_out_percent = 0;                   // before the same short fine-tuning
  SearchPoint teacher;                                   // after it
  std::vector<std::vector<CandidateResult>> candidates;  // [stage], the last is the teacher's own stage
  std::vector<SearchPoint> points;                       // by the first target's cost, rising

  /// The one that was chosen, or nullptr.
  const SearchPoint* chosen() const;
};

/// Writes front.json (everything) and front.csv (the points) into `folder`, each in one move.
void write_search_results(const std::filesystem::path& folder, const SearchResults& results);

/// Reads front.json. Throws NotFoundError or DataError naming the file.
SearchResults read_search_results(const std::filesystem::path& folder);

}  // namespace mfi
