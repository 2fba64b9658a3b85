// What was asked of a search, and which of its networks it is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mfi/search/search_results.h"

namespace mfi {

/// "params=0.3": at most so much of what the teacher costs.
struct SearchTarget {
  enum class Kind { parameters, macs, latency } kind = Kind::parameters;
  double share = 1;
};

/// Targets are met up to this factor: the share of one combination, as 0.57 of 100, may be a hair less than its cost.
constexpr double kShareRounding = 1 + 1e-9;

/// Throws UsageError for anything but params, macs or latency, "=" and a number above 0 and at most 1.
SearchTarget parse_target(const std::string& text);

/// "params=0.3"
std::string target_text(const SearchTarget& target);

/// That of the results, parameters where none was asked for: what their front is over. Throws as parse_target.
SearchTarget first_target(const SearchResults& results);

/// Of what something costs, that kind.
double cost_of_kind(SearchTarget::Kind kind, int64_t parameters, int64_t macs, double milliseconds);

/// Sorts the points by the first target's cost, by parameters without any; marks those that none of no more cost beats
/// as the front; and chooses, of those within all targets, the most accurate or, with max_drop, the first that loses at
/// most so many points against the teacher. With neither nothing is chosen.
void judge(SearchResults& results, const std::vector<SearchTarget>& targets, std::optional<double> max_drop);

/// Throws MissedError where something was asked for and none was chosen. It names the point that misses least: of those
/// within the targets the one that loses least, or, where none is within them, the one that exceeds its worst target by
/// the least factor.
void require_chosen(const SearchResults& results, const std::vector<SearchTarget>& targets,
                    std::optional<double> max_drop);

}  // namespace mfi
