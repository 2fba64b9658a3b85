// Small pieces of text that more than one room prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mfi {

/// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

/// The items with `separator` between them.
std::string join(const std::vector<std::string>& items, std::string_view separator);

/// The candidate with the fewest edits from `word` (Levenshtein, a swap being one), or "" when none
/// is near: more than a third of the word's length away.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

/// The text, or its beginning and "..." where it is longer than a line: for messages about what a file holds.
std::string shortened(std::string_view text);

/// "12.38 M", "1.2 k", "87": a decimal unit, two decimals from a million on, one for thousands.
std::string count_text(double count);

/// "3.2 s", "4 min 05 s", "1 h 02 min".
std::string duration_text(double seconds);

/// "512 KiB", "1.4 GiB".
std::string bytes_text(double bytes);

/// A field of a CSV file, quoted where it has to be (RFC 4180).
std::string csv_field(const std::string& text);

/// Current time as 2026-01-31T12:00:00Z.
std::string utc_time_text();

}  // namespace mfi
