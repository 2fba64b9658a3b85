// What a terminal can show.
#pragma once

#include <cstddef>

namespace mfi {

/// What may be used of a terminal, or of a file in its place.
struct TerminalFeatures {
  bool can_go_back = false;  // is a terminal that can move its cursor
  bool colour = false;
  bool unicode = false;  // the locale is UTF-8
};

/// Of a file descriptor, by the environment: TERM, NO_COLOR (https://no-color.org), LC_ALL, LC_CTYPE, LANG.
TerminalFeatures terminal_features(int descriptor);

struct TerminalSize {
  size_t columns = 80, rows = 24;
};

/// Asks the terminal, now; the usual size where there is none.
TerminalSize terminal_size(int descriptor);

}  // namespace mfi
