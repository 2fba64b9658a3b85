// How much room text takes on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mfi {

/// The beginning of `text` that fits into so many columns, safe to be shown: control characters and bytes that are no
/// UTF-8 become '?'. Combining marks take no column, East Asian wide characters and emoji two.
struct Fitted {
  std::string text;
  size_t columns = 0;
};
Fitted fit_columns(std::string_view text, size_t columns);

/// Columns of the whole text.
size_t columns_of(std::string_view text);

}  // namespace mfi
