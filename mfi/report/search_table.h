// The points that a search has found, as text.
#pragma once

#include <string>

#include "mfi/search/search_results.h"

namespace mfi {

/// A table for a terminal, and sentences on what was chosen and how sure that is.
std::string search_table(const SearchResults& results);

}  // namespace mfi
